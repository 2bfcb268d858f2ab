"""What a model reads: rows of ids and the places in them that are asked about, cut into batches.

Pure. Batches follow from the rows alone, so that two models read the same in the same company.
"""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from schemas.records import Ids

Places = npt.NDArray[np.int64]
Watch = Callable[[int, int], None]
"""Told how many rows are read, and of how many."""

ROW_TOKENS = 256
"""A batch holds so many ids for each row that it may have: more rows of them if they are short."""


@dataclass(frozen=True, slots=True, eq=False)
class Row:
    """Ids, and which of them are asked about: how likely they are after all before them."""

    ids: Ids
    asked: Places
    """Ascending, none of them the first."""


class Unaskable(ValueError):
    """A row in which nothing can be asked about."""


def row_from(ids: Ids, first: int) -> Row:
    """A row that is asked about from a place on; its first id has nothing before it."""
    return Row(ids, _some(np.arange(max(1, first), len(ids), dtype=np.int64)))


def masked_row(ids: Ids, learned: npt.NDArray[np.bool_]) -> Row:
    """A row that is asked about what is learned in it."""
    asked = np.flatnonzero(learned).astype(np.int64)
    return Row(ids, _some(asked[asked > 0]))


def _some(asked: Places) -> Places:
    if not len(asked):
        raise Unaskable("nothing stands in it after what is given")
    return asked


def plan_batches(rows: Sequence[Row], *, batch_rows: int, most_asked: int) -> list[list[int]]:
    """Which rows are read together: the longest first, alike in length, each once.

    No batch but one of a single row has more than `batch_rows` times `ROW_TOKENS` ids, padding
    included, or asks about more than `most_asked`.
    """
    order = sorted(range(len(rows)), key=lambda i: (-len(rows[i].ids), i))
    batches: list[list[int]] = []
    asked = 0
    for i in order:
        asked += len(rows[i].asked)
        width = len(rows[batches[-1][0]].ids) if batches else 0
        full = not batches or (len(batches[-1]) + 1) * width > batch_rows * ROW_TOKENS
        if full or asked > most_asked:
            batches.append([])
            asked = len(rows[i].asked)
        batches[-1].append(i)
    return batches


def rows_digest(rows: Iterable[Row]) -> str:
    """Which ids were read, and what was asked about."""
    hasher = hashlib.blake2b(digest_size=16)
    for row in rows:
        for part in (row.ids.astype(np.int64), row.asked):
            hasher.update(len(part).to_bytes(8, "little") + part.tobytes())
    return hasher.hexdigest()
