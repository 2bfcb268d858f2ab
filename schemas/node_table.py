"""The node table: one schema for every shard of every run. Only nullable columns are ever added."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from schemas.measures import Measures, no_measures
from schemas.records import Candidate, Ids, Node, Verdict

TABLE_VERSION = 1

_PAIR = pa.struct([("name", pa.string()), ("value", pa.float32())])
_SCORES = pa.list_(_PAIR)
"""Named numbers. Not an Arrow map, which HF datasets cannot read."""

_FIELDS: list[tuple[str, pa.DataType, bool]] = [
    ("run_id", pa.string(), False),
    ("tree_id", pa.int32(), False),
    ("node_id", pa.string(), False),
    ("parent_id", pa.string(), True),
    ("path", pa.list_(pa.int32()), False),
    ("level", pa.int16(), False),
    ("child_index", pa.int32(), False),
    ("role", pa.string(), False),
    ("kind", pa.string(), False),
    ("origin", pa.string(), False),
    ("model_index", pa.int16(), False),
    ("text", pa.large_string(), False),
    ("token_ids", pa.list_(pa.int32()), False),
    ("stop_id", pa.int32(), True),
    ("num_tokens", pa.int32(), False),
    ("reasoning_tokens", pa.int32(), False),
    ("finish_reason", pa.string(), False),
    ("logprob_sum", pa.float32(), True),
    ("token_logprobs", pa.list_(pa.float32()), True),
    ("prompt_hash", pa.string(), True),
    ("drop_reason", pa.string(), True),
    ("keeper_id", pa.string(), True),
    ("similarity", pa.float32(), True),
    ("mmr_rank", pa.int32(), True),
    ("scores", _SCORES, True),
]

_OF_VERDICT = ("drop_reason", "keeper_id", "similarity", "mmr_rank")
"""Columns that hold an attribute of the verdict as it is."""

_DERIVED = {"run_id", "token_ids", "num_tokens", "token_logprobs", "scores"}

_OF_CANDIDATE = [n for n, _, _ in _FIELDS if n not in _DERIVED and n not in _OF_VERDICT]
"""Columns that hold an attribute of the candidate as it is."""

NODE_SCHEMA = pa.schema(
    [pa.field(name, kind, nullable=nullable) for name, kind, nullable in _FIELDS],
    metadata={"arborist.table_version": str(TABLE_VERSION)},
)


def to_table(run_id: str, nodes: Sequence[Node], measures: Measures | None = None) -> pa.Table:
    """Rows in the order given; `measures` are theirs, row by row."""
    candidates = [node.candidate for node in nodes]
    verdicts = [node.verdict for node in nodes]
    columns = _candidate_columns(candidates) | _verdict_columns(verdicts)
    columns["scores"] = _score_lists(measures or no_measures(len(nodes)))
    columns["run_id"] = pa.array([run_id] * len(nodes), pa.string())
    return pa.table([columns[name] for name in NODE_SCHEMA.names], schema=NODE_SCHEMA)


def _column(name: str, values: list[Any]) -> pa.Array:
    return pa.array(values, NODE_SCHEMA.field(name).type)


def _candidate_columns(rows: list[Candidate]) -> dict[str, pa.Array]:
    columns = {name: _column(name, [getattr(row, name) for row in rows]) for name in _OF_CANDIDATE}
    columns["token_ids"] = _id_lists([row.token_ids for row in rows])
    columns["num_tokens"] = _column("num_tokens", [len(row.token_ids) for row in rows])
    columns["token_logprobs"] = _column("token_logprobs", [row.token_logprobs for row in rows])
    return columns


def _id_lists(arrays: list[Ids]) -> pa.ListArray:
    offsets = np.zeros(len(arrays) + 1, dtype=np.int32)
    np.cumsum([len(ids) for ids in arrays], out=offsets[1:])
    flat = np.concatenate(arrays) if arrays else np.empty(0, dtype=np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(flat, pa.int32()))


def _verdict_columns(verdicts: list[Verdict]) -> dict[str, pa.Array]:
    return {name: _column(name, [getattr(v, name) for v in verdicts]) for name in _OF_VERDICT}


def _score_lists(measures: Measures) -> pa.ListArray:
    """The scores that say something, null where none does."""
    known = ~np.isnan(measures.scores)
    rows, columns = np.nonzero(known)
    counts = known.sum(axis=1)
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int32)
    names = pa.array(measures.names, pa.string()).take(pa.array(columns))
    pairs = pa.StructArray.from_arrays(
        [names, pa.array(measures.scores[rows, columns], pa.float32())], fields=list(_PAIR)
    )
    return pa.ListArray.from_arrays(
        pa.array(offsets), pairs, type=_SCORES, mask=pa.array(counts == 0)
    )


def scores_from_table(table: pa.Table) -> Measures:
    """The scores of a table's rows, NaN where a row has none of a name."""
    column = table.column("scores").combine_chunks()
    pairs = column.flatten()
    names, values = pairs.field("name"), pairs.field("value")
    rows = np.repeat(np.arange(table.num_rows), _lengths(column))
    encoded = names.dictionary_encode()
    known = tuple(encoded.dictionary.to_pylist())
    measures = no_measures(table.num_rows, names=known)
    measures.scores[rows, encoded.indices.to_numpy()] = values.to_numpy()
    return measures


def _lengths(lists: pa.ListArray) -> npt.NDArray[np.int64]:
    counts: npt.NDArray[np.int64] = pc.list_value_length(lists).fill_null(0).to_numpy()
    return counts


def from_table(table: pa.Table) -> list[Node]:
    """The inverse of `to_table`, scores left out; columns that an older shard lacks are null."""
    return [_node(row) for row in table.to_pylist()]


def _node(row: dict[str, Any]) -> Node:
    logprobs = row["token_logprobs"]
    reason = row["drop_reason"] or ""
    candidate = Candidate(
        tree_id=row["tree_id"],
        node_id=row["node_id"],
        parent_id=row["parent_id"],
        path=tuple(row["path"]),
        role=row["role"],
        token_ids=np.asarray(row["token_ids"], dtype=np.int32),
        text=row["text"],
        kind=row["kind"],
        origin=row["origin"],
        model_index=row["model_index"],
        stop_id=row["stop_id"],
        reasoning_tokens=row["reasoning_tokens"],
        finish_reason=row["finish_reason"],
        failure=reason.removeprefix("failed:") if reason.startswith("failed:") else None,
        logprob_sum=row["logprob_sum"],
        token_logprobs=None if logprobs is None else np.asarray(logprobs, dtype=np.float32),
        prompt_hash=row["prompt_hash"],
    )
    verdict = Verdict(
        drop_reason=row["drop_reason"],
        keeper_id=row["keeper_id"],
        similarity=row["similarity"],
        mmr_rank=row["mmr_rank"],
    )
    return Node(candidate, verdict)
