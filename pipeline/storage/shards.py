"""Shards: the rows of one wave as immutable Parquet files, kept and dropped apart.

A shard's name holds the attempt, so no two drivers ever write the same one. Rows become real with
the manifest that names the shard, not with the file.
"""

from collections.abc import Sequence

import pyarrow as pa

from pipeline.storage.encoding import decode, encode
from pipeline.storage.settle import settle
from pipeline.storage.store import Store
from schemas.errors import CorruptData, NotFound
from schemas.fingerprint import digest
from schemas.manifest import ShardEntry
from schemas.node_table import to_table
from schemas.records import Node

KEPT, DROPPED = "nodes", "dropped"


def shard_name(wave: str, attempt: str, *, dropped: bool) -> str:
    """Where an attempt puts one side of a wave."""
    return f"{DROPPED if dropped else KEPT}/{wave}-{attempt}.parquet"


def write_shards(
    store: Store, *, run_id: str, wave: str, attempt: str, nodes: Sequence[Node]
) -> tuple[ShardEntry, ...]:
    """Write the rows of a wave, in the order given; a side without rows makes no file."""
    metadata = {"arborist.run_id": run_id, "arborist.wave": wave, "arborist.attempt": attempt}
    entries = []
    for dropped in (False, True):
        side = [node for node in nodes if node.verdict.kept != dropped]
        if side:
            name = shard_name(wave, attempt, dropped=dropped)
            payload = encode(to_table(run_id, side), metadata)
            _create(store, name, payload)
            entries.append(_entry(name, payload, rows=len(side), dropped=dropped))
    return tuple(entries)


def _create(store: Store, name: str, payload: bytes) -> None:
    if settle(store, name, payload) != payload:
        raise CorruptData(
            f"{store.location}: {name} is there with other content. Only one attempt writes this "
            "name, so it was changed from outside, or two drivers share an attempt id; start the "
            "same command again."
        )


def _entry(name: str, payload: bytes, *, rows: int, dropped: bool) -> ShardEntry:
    return ShardEntry(
        name=name, rows=rows, bytes=len(payload), sha256=digest(payload), dropped=dropped
    )


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
    return decode(payload, name=where, rows=entry.rows, columns=columns)
