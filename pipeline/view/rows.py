"""Rows of waves as pages list them, and lists that go on where they stopped."""

from collections import deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

import pyarrow as pa

from pipeline.storage.shards import read_shard
from pipeline.view.index import Index
from pipeline.view.query import Lines, Query
from pipeline.view.run import ViewedRun
from schemas.errors import UserError
from schemas.manifest import Table

LISTED = (
    *("tree_id", "node_id", "parent_id", "path", "role", "origin", "text", "num_tokens"),
    *("drop_reason", "keeper_id", "similarity", "mmr_rank"),
)
SHORT = 240
"""Characters of a text in a list."""
LONG = 4000
"""Characters of a text that is there to be read."""
MOST = 50
"""Rows in one answer."""
_AHEAD = 4
"""Waves read while an earlier one is told; bounds memory too."""

Found = TypeVar("Found")
Row = dict[str, Any]
Chosen = Callable[[pa.Table], pa.Table]


def read_rows(
    viewed: ViewedRun,
    index: Index,
    wave: str,
    tables: Sequence[Table] = ("nodes", "dropped"),
    chosen: Chosen = lambda table: table,
) -> list[Row]:
    """Rows of a wave in order of tree and path."""
    rows: list[Row] = []
    for entry in index.entries(wave, *tables):
        rows += chosen(read_shard(viewed.store, entry, LISTED)).to_pylist()
    rows.sort(key=lambda row: (row["tree_id"], row["path"]))
    left_out = viewed.left_out() if rows else {}
    return [row | {"wave": wave, "left_out": left_out.get(row["node_id"])} for row in rows]


def shortened(row: Row, most: int = SHORT) -> Row:
    """With the beginning of its text."""
    text = row["text"]
    return row if len(text) <= most else row | {"text": f"{text[:most]}…"}


def paged(index: Index, query: Query, rows_of: Callable[[str], list[Row]]) -> Lines:
    """Rows of wave after wave from a place on, until there are enough; the last line says how to
    go on. A line comes for each wave, so that whoever left is missed soon."""
    start, skip = _place(index, query.text("wave", "")), query.number("row", 0)
    most = min(query.number("most", MOST), MOST)
    told = 0
    for number, found in enumerate(ahead(rows_of, index.waves[start:]), start=start):
        rows = found[skip:]
        taken = rows[: most - told]
        told += len(taken)
        yield {"rows": taken, "looked": number + 1, "of": len(index.waves)}
        if len(taken) < len(rows):
            yield {"next": {"wave": index.waves[number], "row": skip + len(taken)}}
            return
        skip = 0
    yield {"next": None}


def _place(index: Index, wave: str) -> int:
    """Where a list goes on: waves that were committed since may lie before."""
    if wave and wave not in index.shards:
        raise UserError(f"wave {wave[:60]}: is not committed, or no wave of this run.")
    return index.waves.index(wave) if wave else 0


def ahead(read: Callable[[str], Found], waves: Sequence[str]) -> Generator[Found, None, None]:
    """What is read of each wave, in order; some are read at once, and none any more once the
    listener has gone."""
    readers = ThreadPoolExecutor(_AHEAD)
    coming: deque[Future[Found]] = deque()
    try:
        for wave in waves:
            coming.append(readers.submit(read, wave))
            if len(coming) >= _AHEAD:
                yield coming.popleft().result()
        while coming:
            yield coming.popleft().result()
    finally:
        readers.shutdown(wait=False, cancel_futures=True)
