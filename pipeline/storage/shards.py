"""Shards: the rows of one wave as immutable Parquet files, a table each.

A shard's name holds the attempt, so no two drivers ever write the same one. Rows become real with
the manifest that names the shard, not with the file.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from pipeline.storage.store import Store
from pipeline.storage.tables import create_table, read_table
from schemas.feature_table import (
    FEATURE_SCHEMA,
    check_feature_table,
    from_feature_table,
    to_feature_table,
)
from schemas.logprob_table import (
    LOGPROB_SCHEMA,
    check_logprob_table,
    from_logprob_table,
    to_logprob_table,
)
from schemas.manifest import ShardEntry, Table
from schemas.measures import Measures
from schemas.node_table import NODE_SCHEMA, from_table, scores_from_table, to_table
from schemas.records import Node, Root, TopLogprobs
from schemas.root_table import ROOT_SCHEMA, from_root_table, to_root_table

WAVE_TABLES: tuple[Table, ...] = ("nodes", "dropped", "asides", "features", "logprobs", "roots")
"""The tables of a wave. Each lies in the folder of its name."""

_SCHEMAS: Mapping[Table, pa.Schema] = {
    "features": FEATURE_SCHEMA,
    "logprobs": LOGPROB_SCHEMA,
    "roots": ROOT_SCHEMA,
}
"""Of the tables that do not hold nodes."""
_CHECKS = {"features": check_feature_table, "logprobs": check_logprob_table}


class WaveRows(NamedTuple):
    """All that is stored of a wave, in row order."""

    nodes: Sequence[Node]
    measures: Measures
    """Of the nodes, row by row; nothing is known about roots and failures."""
    asides: Sequence[Node] = ()
    """Rows about nodes: judgements."""
    roots: Sequence[Root] = ()
    """Of the trees that begin in the wave."""


class ShardPlace(NamedTuple):
    """Whose shards they are."""

    run_id: str
    wave: str
    attempt: str

    def name(self, table: Table) -> str:
        """Where the attempt puts one table of the wave."""
        return f"{table}/{self.wave}-{self.attempt}.parquet"


def write_shards(
    store: Store, place: ShardPlace, rows: WaveRows, notes: Mapping[str, str]
) -> tuple[ShardEntry, ...]:
    """Write the tables of a wave; one without rows makes no file. `notes` join the metadata."""
    metadata = {f"arborist.{key}": value for key, value in place._asdict().items()}
    metadata |= {f"arborist.curation.{key}": value for key, value in notes.items()}
    entries = []
    for table, content in _tables(place.run_id, rows).items():
        if content.num_rows:
            name = place.name(table)
            entries.append(create_table(store, name, content, metadata, table=table))
    return tuple(entries)


def _tables(run_id: str, rows: WaveRows) -> dict[Table, pa.Table]:
    kept = np.array([node.verdict.kept for node in rows.nodes], dtype=bool)
    return {
        "nodes": _side(run_id, rows, kept),
        "dropped": _side(run_id, rows, ~kept),
        "asides": to_table(run_id, rows.asides),
        "features": _features(rows),
        "logprobs": to_logprob_table([node.candidate for node in (*rows.nodes, *rows.asides)]),
        "roots": to_root_table(rows.roots),
    }


def _side(run_id: str, rows: WaveRows, side: np.ndarray) -> pa.Table:
    indices = np.flatnonzero(side)
    nodes = [rows.nodes[i] for i in indices]
    return to_table(run_id, nodes, rows.measures.take(indices))


def _features(rows: WaveRows) -> pa.Table:
    """Of all sampled candidates, where the run asks for signatures or vectors."""
    measures = rows.measures
    width = measures.signatures.shape[1] + measures.vectors.shape[1]
    sampled = [
        i
        for i, node in enumerate(rows.nodes)
        if width and node.candidate.origin != "given" and node.candidate.failure is None
    ]
    ids = [rows.nodes[i].candidate.node_id for i in sampled]
    return to_feature_table(ids, measures.take(np.array(sampled, dtype=np.intp)))


def read_shard(store: Store, entry: ShardEntry, columns: Sequence[str] | None = None) -> pa.Table:
    """The rows of a committed shard in today's schema, or an error that names the damaged file."""
    table = read_table(store, entry, _SCHEMAS.get(entry.table, NODE_SCHEMA), columns)
    if (check := _CHECKS.get(entry.table)) is not None:
        check(table, name=f"{store.location}/{entry.name}")
    return table


def read_wave(store: Store, entries: Sequence[ShardEntry]) -> dict[Table, pa.Table]:
    """The tables of a wave that have rows."""
    return {entry.table: read_shard(store, entry) for entry in entries}


def read_logprobs(store: Store, entries: Sequence[ShardEntry]) -> Iterator[tuple[str, TopLogprobs]]:
    """The most likely tokens of turns by node id, a shard at a time; other tables are passed by."""
    for entry in entries:
        if entry.table == "logprobs":
            yield from from_logprob_table(read_shard(store, entry))


def wave_rows(tables: Mapping[Table, pa.Table]) -> WaveRows:
    """All that was stored of a wave, in row order: the inverse of `write_shards`, but that the
    most likely tokens are left where they are."""
    empty = NODE_SCHEMA.empty_table()
    both = pa.concat_tables([tables.get("nodes", empty), tables.get("dropped", empty)])
    nodes = from_table(both)
    places = [(node.candidate.tree_id, node.candidate.path) for node in nodes]
    order = sorted(range(len(nodes)), key=places.__getitem__)
    scored = scores_from_table(both).take(np.array(order, dtype=np.intp))
    ids = [nodes[i].candidate.node_id for i in order]
    features = tables.get("features", FEATURE_SCHEMA.empty_table())
    asides = from_table(tables.get("asides", empty))
    roots = from_root_table(tables.get("roots", ROOT_SCHEMA.empty_table()))
    measures = _with_features(scored, ids, features)
    return WaveRows([nodes[i] for i in order], measures, asides, roots)


def _with_features(scored: Measures, node_ids: Sequence[str], features: pa.Table) -> Measures:
    """Signatures and vectors beside the scores of the same rows."""
    known, signatures, vectors = from_feature_table(features)
    row_of = {node_id: row for row, node_id in enumerate(known)}
    rows = np.array([row_of.get(node_id, -1) for node_id in node_ids], dtype=np.intp)
    scores = np.empty((len(known), 0), dtype=np.float32)
    numbers = Measures((), scores, signatures, vectors).take(rows)
    return Measures(scored.names, scored.scores, numbers.signatures, numbers.vectors)
