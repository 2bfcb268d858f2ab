"""Read what a snapshot names, wave by wave in its order; its drop list is honoured."""

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import groupby, pairwise

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.storage.drops import DropFilter, read_drops
from pipeline.storage.shards import read_shard
from pipeline.storage.store import Store
from schemas.errors import CorruptData
from schemas.manifest import ShardEntry, Snapshot, Table
from schemas.node_table import NODE_SCHEMA
from schemas.records import Root
from schemas.root_table import from_root_table

AHEAD = 4
"""Shards read while an earlier one is worked on; bounds memory too."""

BLOCK_ROWS = 20_000
"""Trees are handed out together up to so many rows."""

Tables = Mapping[Table, pa.Table]
Columns = Callable[[ShardEntry], Sequence[str] | None]


def read_kept(
    store: Store, snapshot: Snapshot, columns: Sequence[str] | None = None
) -> Iterator[pa.Table]:
    """The kept rows, one table a shard, roots among them, without those of the drop list."""
    entries = [e for e in snapshot.shards if e.table == "nodes"]
    if snapshot.drops is None:
        yield from _read(store, entries, lambda _: columns)
        return
    drops = DropFilter(read_drops(store, snapshot.drops, DropFilter.NEEDS))
    wanted = None if columns is None else list(dict.fromkeys([*columns, *DropFilter.NEEDS]))
    for table in _read(store, entries, lambda _: wanted):
        kept = drops.keep(table)
        yield kept if columns is None else kept.select(list(columns))


def read_dropped(
    store: Store, snapshot: Snapshot, columns: Sequence[str] | None = None
) -> Iterator[pa.Table]:
    """The dropped rows, one table a shard, each with its reason."""
    entries = [e for e in snapshot.shards if e.table == "dropped"]
    return _read(store, entries, lambda _: columns)


def read_trees(
    store: Store, snapshot: Snapshot, wanted: Sequence[Table], *, without: Sequence[str] = ()
) -> Iterator[Tables]:
    """Some whole trees at a time, in order, as their rows of each table (those with `tree_id`).

    Kept rows come without those of the drop list. Columns of nodes that may be null and are not
    needed are left null. In memory are the rows of one cohort.
    """
    entries = [entry for entry in snapshot.shards if entry.table in wanted]
    columns = [name for name in NODE_SCHEMA.names if name not in without]
    found = _read(store, entries, lambda entry: None if entry.table == "roots" else columns)
    drops = _drop_filter(store, snapshot)
    read = zip(entries, found, strict=True)
    for _, shards in groupby(read, key=lambda pair: pair[0].wave.cohort):
        parts: dict[Table, list[pa.Table]] = {name: [] for name in wanted}
        for entry, table in shards:
            parts[entry.table].append(drops(table) if entry.table == "nodes" else table)
        tables = {name: _by_tree(read) for name, read in parts.items() if read}
        yield from _blocks({n: t if n == "roots" else _filled(t) for n, t in tables.items()})


class Roots:
    """The roots of some trees, by tree."""

    def __init__(self, store: Store, tables: Tables) -> None:
        self._where = store.location
        found = from_root_table(tables["roots"]) if "roots" in tables else []
        self._by_tree = {root.tree_id: root for root in found}

    def __getitem__(self, tree_id: int) -> Root:
        if tree_id not in self._by_tree:
            raise CorruptData(
                f"{self._where}: tree {tree_id} has no row below roots/, so nobody knows what "
                "stands before its turns. `arborist verify` lists all defects of the run."
            )
        return self._by_tree[tree_id]


def _drop_filter(store: Store, snapshot: Snapshot) -> Callable[[pa.Table], pa.Table]:
    if snapshot.drops is None:
        return lambda table: table
    return DropFilter(read_drops(store, snapshot.drops, DropFilter.NEEDS)).keep


def _filled(table: pa.Table) -> pa.Table:
    """With null in the columns of nodes that were not read."""
    rows, there = table.num_rows, set(table.column_names)
    columns = [
        table.column(field.name) if field.name in there else pa.nulls(rows, field.type)
        for field in NODE_SCHEMA
    ]
    return pa.table(columns, schema=NODE_SCHEMA)


def _by_tree(parts: Sequence[pa.Table]) -> pa.Table:
    joined = pa.concat_tables(parts)
    order = np.argsort(joined.column("tree_id").to_numpy(), kind="stable")
    return joined.take(pa.array(order))


def _blocks(tables: Tables) -> Iterator[Tables]:
    """The same rows cut between trees; a large tree makes its block larger."""
    trees = {name: table.column("tree_id").to_numpy() for name, table in tables.items()}
    ids = np.unique(np.concatenate(list(trees.values())))
    rows_before = sum(np.searchsorted(column, ids) for column in trees.values())
    cuts = np.flatnonzero(np.diff(rows_before // BLOCK_ROWS)) + 1
    for first, stop in pairwise([0, *cuts.tolist(), len(ids)] if len(ids) else ()):
        yield {
            name: table.slice(*_span(trees[name], ids[first], ids[stop - 1]))
            for name, table in tables.items()
        }


def _span(trees: npt.NDArray[np.int32], first: int, last: int) -> tuple[int, int]:
    """Where the rows of some trees begin, and how many they are."""
    start, stop = np.searchsorted(trees, first), np.searchsorted(trees, last, side="right")
    return int(start), int(stop - start)


def _read(store: Store, entries: Sequence[ShardEntry], columns: Columns) -> Iterator[pa.Table]:
    readers = ThreadPoolExecutor(AHEAD)
    ahead: deque[Future[pa.Table]] = deque()
    try:
        for entry in entries:
            ahead.append(readers.submit(read_shard, store, entry, columns(entry)))
            if len(ahead) > AHEAD:
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()
    finally:
        readers.shutdown(wait=False, cancel_futures=True)
