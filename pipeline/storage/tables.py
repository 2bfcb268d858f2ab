"""Tables as immutable files: created once, named by checksum, read with every check."""

from collections.abc import Mapping, Sequence

import pyarrow as pa

from pipeline.storage.encoding import decode, encode
from pipeline.storage.settle import settle
from pipeline.storage.store import Store
from schemas.errors import CorruptData, NotFound
from schemas.fingerprint import digest
from schemas.manifest import ShardEntry, Table


def create_table(
    store: Store, name: str, content: pa.Table, metadata: Mapping[str, str], *, table: Table
) -> ShardEntry:
    """Write a file that is there afterwards; its name is that of one attempt only."""
    payload = encode(content, metadata)
    if settle(store, name, payload) != payload:
        raise CorruptData(
            f"{store.location}: {name} is there with other content. Only one attempt writes this "
            "name, so it was changed from outside, or two processes share an attempt id; start "
            "the same command again."
        )
    return ShardEntry(
        name=name, rows=content.num_rows, bytes=len(payload), sha256=digest(payload), table=table
    )


def read_table(
    store: Store, entry: ShardEntry, schema: pa.Schema, columns: Sequence[str] | None = None
) -> pa.Table:
    """All columns of a file, or some, in today's schema; an error names what is damaged."""
    where = f"{store.location}/{entry.name}"
    try:
        payload = store.read(entry.name)
    except NotFound as error:
        raise CorruptData(
            f"{where}: a {_namer(entry)} names this file, but it is not there; it was removed."
        ) from error
    if len(payload) != entry.bytes or digest(payload) != entry.sha256:
        raise CorruptData(
            f"{where}: {len(payload)} bytes that are not the {entry.bytes} whose checksum its "
            f"{_namer(entry)} names; the file was cut off or changed."
        )
    wanted = schema if columns is None else _only(schema, columns)
    return decode(payload, name=where, rows=entry.rows, schema=wanted)


def _namer(entry: ShardEntry) -> str:
    return "snapshot" if entry.table == "drops" else "manifest"


def _only(schema: pa.Schema, columns: Sequence[str]) -> pa.Schema:
    return pa.schema([schema.field(name) for name in columns], metadata=schema.metadata)
