"""The log-probability table: the most likely tokens at each position of a turn, beside its row.

It is what a trainer needs for soft targets. The numbers are the model's own distribution, before
temperature and truncation. A turn of `num_tokens` tokens has `positions` rows of `k` ids: row i is
the distribution from which `token_ids[i]` was sampled, and where the turn ended on a `stop_id`, one
more row teaches the end. With P ids of prompt in front of the turn, row i is the target of what a
student makes of position P - 1 + i. The mass that the k ids leave lies in `tail`, so the loss at a
position is a cross-entropy over k + 1 outcomes, one of which is "any other token":

    top = tops[node_id]             # of dict(read_logprobs(store, manifest.shards))
    q = student_logprobs[P - 1 + i][top.ids[i]]
    rest = log(max(1 - exp(q).sum(), 1e-6))
    loss = -(exp(top.logprobs[i]) * q).sum() - top.tail[i] * rest

Without the tail's term the student would learn that all other tokens are impossible. Turns that
were not sampled, or not by an engine that was asked for these numbers, have no row.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from schemas.errors import CorruptData, SpecError
from schemas.generation_spec import MAX_NUMBERS
from schemas.records import Candidate, TopLogprobs

LOGPROB_SCHEMA = pa.schema(
    [
        pa.field("node_id", pa.string(), nullable=False),
        pa.field("k", pa.int16(), nullable=False),
        pa.field("positions", pa.int32(), nullable=False),
        pa.field("ids", pa.list_(pa.int32()), nullable=False),
        pa.field("logprobs", pa.list_(pa.float32()), nullable=False),
        pa.field("tail", pa.list_(pa.float32()), nullable=False),
    ],
    metadata={"arborist.table_version": "1"},
)
"""`ids` and `logprobs` hold `positions` times `k` numbers, position by position, the most likely
first."""


def to_logprob_table(candidates: Sequence[Candidate]) -> pa.Table:
    """A row for each candidate that has them, in the order given."""
    having = [(row.node_id, row.top) for row in candidates if row.top is not None]
    tops = [top for _, top in having]
    columns = [
        pa.array([node_id for node_id, _ in having], pa.string()),
        pa.array([top.ids.shape[1] for top in tops], pa.int16()),
        pa.array([len(top.ids) for top in tops], pa.int32()),
        _lists([top.ids.ravel() for top in tops], pa.int32()),
        _lists([top.logprobs.ravel() for top in tops], pa.float32()),
        _lists([top.tail for top in tops], pa.float32()),
    ]
    return pa.table(columns, schema=LOGPROB_SCHEMA)


def check_logprob_table(table: pa.Table, *, name: str) -> None:
    """Refuse a table, or a part of it, whose lists are not as long as `k` and `positions` say."""
    if not {"k", "positions"} <= set(table.column_names):
        return
    positions = pc.cast(table.column("positions"), pa.int64())
    numbers = pc.multiply(positions, pc.cast(table.column("k"), pa.int64()))
    for column, expected in {"ids": numbers, "logprobs": numbers, "tail": positions}.items():
        if column in table.column_names:
            _check_lists(table, column, expected, name)


def _check_lists(table: pa.Table, column: str, expected: pa.ChunkedArray, name: str) -> None:
    lists = table.column(column)
    found = pc.cast(pc.list_value_length(lists), pa.int64())
    wrong = pc.indices_nonzero(pc.fill_null(pc.not_equal(found, expected), fill_value=True))
    if len(wrong):
        row = wrong[0].as_py()
        raise CorruptData(
            f"{name}: column {column} of row {row} holds {found[row]} numbers, expected "
            f"{expected[row]} by its k and positions; {len(wrong)} of {table.num_rows} rows are "
            "so. The file was changed."
        )
    if pc.list_flatten(lists).null_count:
        raise CorruptData(f"{name}: column {column} lacks numbers. The file was changed.")


def from_logprob_table(table: pa.Table) -> Iterator[tuple[str, TopLogprobs]]:
    """Node ids and their most likely tokens of a table that was checked, without a copy of each."""
    widths = table.column("k").to_pylist()
    ids, logprobs, tails = (_views(table.column(name)) for name in ("ids", "logprobs", "tail"))
    rows = zip(table.column("node_id").to_pylist(), widths, ids, logprobs, tails, strict=True)
    for node_id, k, flat_ids, flat_logprobs, tail in rows:
        shape = len(tail), k
        yield node_id, TopLogprobs(flat_ids.reshape(shape), flat_logprobs.reshape(shape), tail)


def _lists(arrays: Sequence[npt.NDArray[np.generic]], kind: pa.DataType) -> pa.ListArray:
    offsets = np.zeros(len(arrays) + 1, dtype=np.int64)
    np.cumsum([len(one) for one in arrays], out=offsets[1:])
    if offsets[-1] > MAX_NUMBERS:
        raise SpecError(
            f"generation.top_logprobs: a wave of {len(arrays)} turns has {offsets[-1]} of them, "
            f"expected at most {MAX_NUMBERS}; lower top_logprobs, max_tokens or bounds."
        )
    flat = np.concatenate(arrays) if arrays else np.empty(0)
    items = pa.array(flat.astype(kind.to_pandas_dtype(), copy=False), kind)
    return pa.ListArray.from_arrays(pa.array(offsets.astype(np.int32)), items)


def _views(column: pa.ChunkedArray) -> Iterator[npt.NDArray[Any]]:
    for chunk in column.chunks:
        flat, offsets = chunk.values.to_numpy(), chunk.offsets.to_numpy()
        yield from (flat[start:end] for start, end in pairwise(offsets))
