"""Shards: the rows of one wave as immutable Parquet files, a table each.

A shard's name holds the attempt, so no two drivers ever write the same one. Rows become real with
the manifest that names the shard, not with the file.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from pipeline.storage.encoding import decode, encode
from pipeline.storage.settle import settle
from pipeline.storage.store import Store
from schemas.errors import CorruptData, NotFound
from schemas.feature_table import FEATURE_SCHEMA, from_feature_table, to_feature_table
from schemas.fingerprint import digest
from schemas.manifest import ShardEntry, Table
from schemas.measures import Measures
from schemas.node_table import NODE_SCHEMA, from_table, scores_from_table, to_table
from schemas.records import Node

WAVE_TABLES: tuple[Table, ...] = ("nodes", "dropped", "asides", "features")
"""The tables of a wave. Each lies in the folder of its name."""


class WaveRows(NamedTuple):
    """All that is stored of a wave, in row order."""

    nodes: Sequence[Node]
    measures: Measures
    """Of the nodes, row by row; nothing is known about roots and failures."""
    asides: Sequence[Node] = ()
    """Rows about nodes: judgements."""


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
            payload = encode(content, metadata)
            _create(store, name, payload)
            entries.append(_entry(name, payload, rows=content.num_rows, table=table))
    return tuple(entries)


def _tables(run_id: str, rows: WaveRows) -> dict[Table, pa.Table]:
    kept = np.array([node.verdict.kept for node in rows.nodes], dtype=bool)
    return {
        "nodes": _side(run_id, rows, kept),
        "dropped": _side(run_id, rows, ~kept),
        "asides": to_table(run_id, rows.asides),
        "features": _features(rows),
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
        if width and node.candidate.level and node.candidate.failure is None
    ]
    ids = [rows.nodes[i].candidate.node_id for i in sampled]
    return to_feature_table(ids, measures.take(np.array(sampled, dtype=np.intp)))


def _create(store: Store, name: str, payload: bytes) -> None:
    if settle(store, name, payload) != payload:
        raise CorruptData(
            f"{store.location}: {name} is there with other content. Only one attempt writes this "
            "name, so it was changed from outside, or two drivers share an attempt id; start the "
            "same command again."
        )


def _entry(name: str, payload: bytes, *, rows: int, table: Table) -> ShardEntry:
    return ShardEntry(name=name, rows=rows, bytes=len(payload), sha256=digest(payload), table=table)


def read_shard(store: Store, entry: ShardEntry, columns: Sequence[str] | None = None) -> pa.Table:
    """The rows of a committed shard in today's schema, or an error that names the damaged file."""
    where = f"{store.location}/{entry.name}"
    try:
        payload = store.read(entry.name)
    except NotFound as error:
        raise CorruptData(
            f"{where}: a manifest names this file, but it is not there; it was removed."
        ) from error
    if len(payload) != entry.bytes or digest(payload) != entry.sha256:
        raise CorruptData(
            f"{where}: its {len(payload)} bytes are not the {entry.bytes} that its manifest "
            "names by checksum; the file was cut off or changed."
        )
    schema = FEATURE_SCHEMA if entry.table == "features" else NODE_SCHEMA
    wanted = schema if columns is None else _only(schema, columns)
    return decode(payload, name=where, rows=entry.rows, schema=wanted)


def read_wave(store: Store, entries: Sequence[ShardEntry]) -> dict[Table, pa.Table]:
    """The tables of a wave that have rows."""
    return {entry.table: read_shard(store, entry) for entry in entries}


def wave_rows(tables: Mapping[Table, pa.Table]) -> WaveRows:
    """All that was stored of a wave, in row order: the inverse of `write_shards`."""
    empty = NODE_SCHEMA.empty_table()
    both = pa.concat_tables([tables.get("nodes", empty), tables.get("dropped", empty)])
    nodes = from_table(both)
    places = [(node.candidate.tree_id, node.candidate.path) for node in nodes]
    order = sorted(range(len(nodes)), key=places.__getitem__)
    scored = scores_from_table(both).take(np.array(order, dtype=np.intp))
    ids = [nodes[i].candidate.node_id for i in order]
    features = tables.get("features", FEATURE_SCHEMA.empty_table())
    asides = from_table(tables.get("asides", empty))
    return WaveRows([nodes[i] for i in order], _with_features(scored, ids, features), asides)


def _with_features(scored: Measures, node_ids: Sequence[str], features: pa.Table) -> Measures:
    """Signatures and vectors beside the scores of the same rows."""
    known, signatures, vectors = from_feature_table(features)
    row_of = {node_id: row for row, node_id in enumerate(known)}
    rows = np.array([row_of.get(node_id, -1) for node_id in node_ids], dtype=np.intp)
    scores = np.empty((len(known), 0), dtype=np.float32)
    numbers = Measures((), scores, signatures, vectors).take(rows)
    return Measures(scored.names, scored.scores, numbers.signatures, numbers.vectors)


def _only(schema: pa.Schema, columns: Sequence[str]) -> pa.Schema:
    return pa.schema([schema.field(name) for name in columns], metadata=schema.metadata)
