"""Read what a snapshot names, wave by wave in its order; its drop list is honoured."""

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import pyarrow as pa

from pipeline.storage.drops import DropFilter, read_drops
from pipeline.storage.shards import read_shard
from pipeline.storage.store import Store
from schemas.manifest import ShardEntry, Snapshot

AHEAD = 4
"""Shards read while an earlier one is worked on; bounds memory too."""


def read_kept(
    store: Store, snapshot: Snapshot, columns: Sequence[str] | None = None
) -> Iterator[pa.Table]:
    """The kept rows, one table a shard, roots among them, without those of the drop list."""
    entries = [e for e in snapshot.shards if e.table == "nodes"]
    if snapshot.drops is None:
        yield from _read(store, entries, columns)
        return
    drops = DropFilter(read_drops(store, snapshot.drops, DropFilter.NEEDS))
    wanted = None if columns is None else list(dict.fromkeys([*columns, *DropFilter.NEEDS]))
    for table in _read(store, entries, wanted):
        kept = drops.keep(table)
        yield kept if columns is None else kept.select(list(columns))


def read_dropped(
    store: Store, snapshot: Snapshot, columns: Sequence[str] | None = None
) -> Iterator[pa.Table]:
    """The dropped rows, one table a shard, each with its reason."""
    return _read(store, [e for e in snapshot.shards if e.table == "dropped"], columns)


def _read(
    store: Store, entries: Sequence[ShardEntry], columns: Sequence[str] | None
) -> Iterator[pa.Table]:
    readers = ThreadPoolExecutor(AHEAD)
    ahead: deque[Future[pa.Table]] = deque()
    try:
        for entry in entries:
            ahead.append(readers.submit(read_shard, store, entry, columns))
            if len(ahead) > AHEAD:
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()
    finally:
        readers.shutdown(wait=False, cancel_futures=True)
