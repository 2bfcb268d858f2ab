"""Drop lists: what a refined snapshot leaves out of the kept rows, one file a refinement."""

import logging
import re
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.storage.store import Store
from pipeline.storage.tables import create_table, read_table
from schemas.drop_list import DROP_SCHEMA
from schemas.manifest import ShardEntry, Snapshot

log = logging.getLogger(__name__)

DROPS = "drops"
_FILE = re.compile(rf"{DROPS}/(?P<number>[0-9]{{5,10}})-[0-9A-Za-z_-]+\.parquet")


def write_drops(
    store: Store, table: pa.Table, *, run_id: str, number: int, attempt: str
) -> ShardEntry:
    """Store the drop list of the snapshot that will have a number; equal rows, equal bytes."""
    name = f"{DROPS}/{number:05d}-{attempt}.parquet"
    metadata = {"arborist.run_id": run_id, "arborist.snapshot": str(number)}
    return create_table(store, name, table, metadata, table="drops")


def read_drops(store: Store, entry: ShardEntry, columns: Sequence[str] | None = None) -> pa.Table:
    """A drop list, in order of tree and path."""
    return read_table(store, entry, DROP_SCHEMA, columns)


def drops_of(store: Store, snapshot: Snapshot) -> pa.Table:
    """The drop list of a snapshot; one without rows where there is none."""
    empty = DROP_SCHEMA.empty_table()
    return empty if snapshot.drops is None else read_drops(store, snapshot.drops)


def withdrawn_ids(drops: pa.Table) -> pa.Array:
    """The nodes of a drop list that fell by hand; those below them are not among them."""
    chosen = drops.filter(pc.equal(drops.column("reason"), "withdrawn"))
    return chosen.column("node_id").combine_chunks()


def withdrawn_for(store: Store, number: int) -> set[str]:
    """The same by all lists made for a snapshot, where that cannot say itself which one is its."""
    found: set[str] = set()
    for name in (name for name in store.list(DROPS) if number_of(name) == number):
        try:
            drops = pq.read_table(pa.BufferReader(store.read(name)), columns=["node_id", "reason"])
        except (pa.ArrowException, OSError):
            log.warning("%s/%s: cannot be read, so what it withdrew is lost", store.location, name)
            continue
        found |= set(withdrawn_ids(drops).to_pylist())
    return found


def number_of(name: str) -> int | None:
    """The number of the snapshot that a drop list was made for; None for a file that is none."""
    file = _FILE.fullmatch(name)
    return int(file["number"]) if file else None


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
