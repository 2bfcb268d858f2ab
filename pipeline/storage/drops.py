"""Drop lists: what a refined snapshot leaves out of the kept rows, one file a refinement."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.storage.encoding import decode, encode
from pipeline.storage.settle import settle
from pipeline.storage.store import Store
from schemas.drop_list import DROP_SCHEMA
from schemas.errors import CorruptData, NotFound
from schemas.fingerprint import digest
from schemas.manifest import ShardEntry

DROPS = "drops"


def write_drops(
    store: Store, table: pa.Table, *, run_id: str, number: int, attempt: str
) -> ShardEntry:
    """Store the drop list of the snapshot that will have a number; equal rows, equal bytes."""
    name = f"{DROPS}/{number:05d}-{attempt}.parquet"
    payload = encode(table, {"arborist.run_id": run_id, "arborist.snapshot": str(number)})
    if settle(store, name, payload) != payload:
        raise CorruptData(
            f"{store.location}: {name} is there with other content. Only one attempt writes this "
            "name, so it was changed from outside; start the same command again."
        )
    return ShardEntry(
        name=name,
        rows=table.num_rows,
        bytes=len(payload),
        sha256=digest(payload),
        table="drops",
    )


def read_drops(store: Store, entry: ShardEntry, columns: Sequence[str] | None = None) -> pa.Table:
    """A drop list, in order of tree and path."""
    where = f"{store.location}/{entry.name}"
    try:
        payload = store.read(entry.name)
    except NotFound as error:
        raise CorruptData(
            f"{where}: a snapshot names this drop list, but it is not there; it was removed."
        ) from error
    if len(payload) != entry.bytes or digest(payload) != entry.sha256:
        raise CorruptData(
            f"{where}: its {len(payload)} bytes are not the {entry.bytes} that its snapshot "
            "names by checksum; the file was cut off or changed."
        )
    fields = DROP_SCHEMA if columns is None else [DROP_SCHEMA.field(name) for name in columns]
    schema = pa.schema(fields, metadata=DROP_SCHEMA.metadata)
    return decode(payload, name=where, rows=entry.rows, schema=schema)


def number_of(name: str) -> int:
    """The number of the snapshot that a drop list was made for."""
    return int(name.removeprefix(f"{DROPS}/").partition("-")[0])


class DropFilter:
    """Takes the rows of a drop list out of tables, with the list in memory once."""

    NEEDS = ("tree_id", "node_id")
    """Columns of the tables."""

    def __init__(self, drops: pa.Table) -> None:
        self._ids = drops.column("node_id").combine_chunks()
        self._trees = drops.column("tree_id").to_numpy()

    def dropped(self, table: pa.Table) -> pa.ChunkedArray:
        """By row, whether the list names it."""
        # A table holds few trees, and the list is in their order: only that part is looked at.
        bounds = pc.min_max(table.column("tree_id"))
        first, last = bounds["min"].as_py(), bounds["max"].as_py()
        start, stop = np.searchsorted(self._trees, [first, last + 1]).tolist()
        return pc.is_in(table.column("node_id"), value_set=self._ids.slice(start, stop - start))

    def keep(self, table: pa.Table) -> pa.Table:
        """The rows that the list does not name."""
        return table.filter(pc.invert(self.dropped(table))) if table.num_rows else table
