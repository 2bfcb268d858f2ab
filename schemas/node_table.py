"""The node table: one schema for every shard of every run. Only nullable columns are ever added."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from schemas.records import Candidate, Ids, Node, Verdict

TABLE_VERSION = 1

_SCORES = pa.list_(pa.struct([("name", pa.string()), ("value", pa.float32())]))
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


def to_table(run_id: str, nodes: Sequence[Node]) -> pa.Table:
    """Rows in the order given."""
    candidates = [node.candidate for node in nodes]
    verdicts = [node.verdict for node in nodes]
    columns = _candidate_columns(candidates) | _verdict_columns(verdicts)
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
    columns = {name: _column(name, [getattr(v, name) for v in verdicts]) for name in _OF_VERDICT}
    columns["scores"] = _column("scores", [_scores(v) for v in verdicts])
    return columns


def _scores(verdict: Verdict) -> list[dict[str, Any]] | None:
    return [{"name": name, "value": value} for name, value in verdict.scores.items()] or None


def from_table(table: pa.Table) -> list[Node]:
    """The inverse of `to_table`; columns that an older shard lacks are null."""
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
        scores={score["name"]: score["value"] for score in row["scores"] or []},
    )
    return Node(candidate, verdict)
