"""Requests and outcomes as one Arrow buffer each, for crossing processes.

Numbers travel as Arrow columns and come back as views of the buffer, without a copy each.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from schemas.records import (
    ChildKey,
    Completion,
    Failure,
    Ids,
    Outcome,
    Request,
    Sampling,
    TopLogprobs,
)

Floats = npt.NDArray[np.float32]

_REQUEST = pa.schema(
    [
        ("wave", pa.string()),
        ("parent_id", pa.string()),
        ("first_child", pa.int32()),
        ("n", pa.int32()),
        ("prompt", pa.large_list(pa.int32())),
        ("sampling", pa.int32()),
        ("seed", pa.int64()),
        ("kind", pa.string()),
        ("group", pa.string()),
    ]
)
"""`sampling` is an index into the schema's metadata, since few differ within a batch."""

_OUTCOME = pa.schema(
    [
        ("parent_id", pa.string()),
        ("kind", pa.string()),
        ("child_index", pa.int32()),
        ("token_ids", pa.large_list(pa.int32())),
        ("text", pa.large_string()),
        ("finish_reason", pa.string()),
        ("stop_id", pa.int32()),
        ("logprob_sum", pa.float64()),
        ("token_logprobs", pa.large_list(pa.float32())),
        ("top_k", pa.int32()),
        ("top_ids", pa.large_list(pa.int32())),
        ("top_logprobs", pa.large_list(pa.float32())),
        ("top_tail", pa.large_list(pa.float32())),
        ("reason", pa.string()),
        ("message", pa.string()),
    ]
)
"""A failure has a `reason`, and nulls where a completion has values. The most likely tokens lie
position by position, `top_k` each."""

_SAMPLINGS = b"samplings"


def pack_requests(requests: Sequence[Request]) -> bytes:
    """Requests as the bytes of one Arrow stream."""
    places: dict[Sampling, int] = {}
    indices = [places.setdefault(request.sampling, len(places)) for request in requests]
    columns = {
        "prompt": _lists([request.prompt for request in requests], pa.int32()),
        "sampling": pa.array(indices, pa.int32()),
    }
    samplings = json.dumps([asdict(sampling) for sampling in places])
    return _pack(_REQUEST.with_metadata({_SAMPLINGS: samplings}), columns, requests)


def unpack_requests(payload: bytes) -> list[Request]:
    """The inverse of `pack_requests`."""
    batch = _unpack(payload)
    samplings = [_sampling(fields) for fields in json.loads(batch.schema.metadata[_SAMPLINGS])]
    columns = {name: _values(batch, name) for name in _REQUEST.names}
    columns["sampling"] = [samplings[index] for index in columns["sampling"]]
    return [Request(*row) for row in zip(*_in_order(Request, columns), strict=True)]


def _in_order(kind: type[Request], columns: dict[str, list[Any]]) -> list[list[Any]]:
    return [columns[name] for name in kind.__dataclass_fields__]


def _sampling(fields: dict[str, Any]) -> Sampling:
    lists = {name: tuple(fields[name]) for name in ("stop_ids", "stop_strings")}
    return Sampling(**fields | lists)


def pack_outcomes(outcomes: Sequence[Outcome]) -> bytes:
    """Outcomes as the bytes of one Arrow stream."""
    columns = {
        name: pa.array([getattr(one.key, name) for one in outcomes], _OUTCOME.field(name).type)
        for name in ChildKey._fields
    }
    ids = [one.token_ids if isinstance(one, Completion) else None for one in outcomes]
    logprobs = [one.token_logprobs if isinstance(one, Completion) else None for one in outcomes]
    tops = [one.top if isinstance(one, Completion) else None for one in outcomes]
    columns["token_ids"] = _lists(ids, pa.int32())
    columns["token_logprobs"] = _lists(logprobs, pa.float32())
    columns |= _top_columns(tops)
    return _pack(_OUTCOME, columns, outcomes)


def _top_columns(tops: Sequence[TopLogprobs | None]) -> dict[str, pa.Array]:
    return {
        "top_k": pa.array([None if top is None else top.ids.shape[1] for top in tops], pa.int32()),
        "top_ids": _lists([None if top is None else top.ids.ravel() for top in tops], pa.int32()),
        "top_logprobs": _lists(
            [None if top is None else top.logprobs.ravel() for top in tops], pa.float32()
        ),
        "top_tail": _lists([None if top is None else top.tail for top in tops], pa.float32()),
    }


def unpack_outcomes(payload: bytes) -> list[Outcome]:
    """The inverse of `pack_outcomes`."""
    batch = _unpack(payload)
    rows = zip(*(_values(batch, name) for name in _OUTCOME.names), strict=True)
    return [_outcome(*row) for row in rows]


def _outcome(parent_id: str, kind: Any, child_index: int, *rest: Any) -> Outcome:
    key = ChildKey(parent_id, kind, child_index)
    *made, k, ids, logprobs, tail, reason, message = rest
    if reason is not None:
        return Failure(key, reason, message)
    made.append(None if k is None else _top(k, ids, logprobs, tail))
    return Completion(key, *made)


def _top(k: int, ids: Ids, logprobs: Floats, tail: Floats) -> TopLogprobs:
    shape = len(tail), k
    return TopLogprobs(ids.reshape(shape), logprobs.reshape(shape), tail)


def _pack(schema: pa.Schema, columns: dict[str, pa.Array], values: Sequence[Any]) -> bytes:
    """Columns as given, the others from the attributes of the values."""
    arrays = [
        columns[field.name]
        if field.name in columns
        else pa.array([getattr(value, field.name, None) for value in values], field.type)
        for field in schema
    ]
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, schema) as stream:
        stream.write_batch(pa.record_batch(arrays, schema=schema))
    return bytes(sink.getvalue())


def _unpack(payload: bytes) -> pa.RecordBatch:
    return pa.ipc.open_stream(payload).read_next_batch()


def _lists(arrays: Sequence[npt.NDArray[Any] | None], values: pa.DataType) -> pa.Array:
    offsets = np.zeros(len(arrays) + 1, dtype=np.int64)
    np.cumsum([0 if one is None else len(one) for one in arrays], out=offsets[1:])
    present = [one for one in arrays if one is not None]
    flat = np.concatenate(present) if present else np.empty(0)
    missing = pa.array([one is None for one in arrays], pa.bool_())
    items = pa.array(flat.astype(values.to_pandas_dtype(), copy=False), values)
    return pa.LargeListArray.from_arrays(pa.array(offsets), items, mask=missing)


def _values(batch: pa.RecordBatch, name: str) -> list[Any]:
    column = batch.column(name)
    if not pa.types.is_large_list(column.type):
        return column.to_pylist()  # type: ignore[no-any-return]
    offsets = column.offsets.to_numpy().tolist()
    flat = column.values.to_numpy()
    views = [flat[start:end] for start, end in pairwise(offsets)]
    if column.null_count:
        present = column.is_valid().to_pylist()
        return [view if there else None for view, there in zip(views, present, strict=True)]
    return views
