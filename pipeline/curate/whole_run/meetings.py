"""Meetings: with which of the rows kept so far a row is compared."""

import math
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from pipeline.curate.mixing import Hashes
from pipeline.curate.whole_run.band_table import CHECK_BITS, Entries

Numbers = npt.NDArray[np.int64]

_COUNTERS = 1 << 22
_NOTHING = 0
"""Stands for the shingle of a row that has none."""
_ROUNDING = 1e-9


class KeyMeetings:
    """Rows meet that share a key, if their check bits are nearly equal."""

    def __init__(self, table: Entries, least: int) -> None:
        table = table[np.lexsort((table["key"], table["row"]))]
        self._buckets = np.unique(table["key"], return_inverse=True)[1].astype(np.int32)
        self.rows, firsts = np.unique(table["row"], return_index=True)
        self._place_of = {row: place for place, row in enumerate(self.rows.tolist())}
        self._starts = np.append(firsts, len(table))
        self._checks = table["check"][firsts]
        self._least = least
        self._kept: dict[int, list[int]] = {}
        """By bucket, places in `rows`."""

    def keep(self, row: int) -> None:
        """A row that later ones are compared with."""
        place = self._place_of.get(row)
        if place is not None:
            for bucket in self._of(place):
                self._kept.setdefault(bucket, []).append(place)

    def before(self, row: int) -> Numbers:
        """The rows kept so far that may be like a row, in order."""
        place = self._place_of.get(row)
        if place is None:
            return np.empty(0, dtype=np.int64)
        places = _union([self._kept.get(bucket, ()) for bucket in self._of(place)])
        equal = CHECK_BITS - np.bitwise_count(self._checks[places] ^ self._checks[place])
        found: Numbers = self.rows[places[equal >= self._least]].astype(np.int64)
        return found

    def _of(self, place: int) -> list[int]:
        found: list[int] = self._buckets[self._starts[place] : self._starts[place + 1]].tolist()
        return found


class Rarity:
    """How many rows have a shingle, about: counters may be shared, which costs time only."""

    def __init__(self) -> None:
        self._counts = np.zeros(_COUNTERS, dtype=np.int64)

    def add(self, shingles: Hashes) -> None:
        """Count those of some rows, best of many at once."""
        self._counts += np.bincount(_counter(shingles), minlength=_COUNTERS)

    def rarest(self, shingles: Hashes, count: int) -> Hashes:
        """So many of the shingles, the rarest first. The order is the same for all rows."""
        order = np.lexsort((shingles, self._counts[_counter(shingles)]))
        found: Hashes = shingles[order[:count]]
        return found


def _counter(shingles: Hashes) -> npt.NDArray[np.int64]:
    return (shingles & np.uint64(_COUNTERS - 1)).astype(np.int64)


class ShingleMeetings:
    """Rows meet that share one of their rarest shingles, and are of about one size.

    Of two sets whose similarity is t or more, each holds at least t of the other's size in common.
    So among all of its shingles but t of them, and one more, is one that the other has, too; if the
    same order is used for all rows, it is among the first of both. No pair is missed, and rows that
    share a common phrase only do not meet. Nor do rows of different scopes.
    """

    def __init__(
        self,
        rows: Numbers,
        shingles_of: Callable[[int], Hashes],
        rarity: Rarity,
        threshold: float,
        scope_of: Callable[[int], int],
    ) -> None:
        self.rows = rows
        self._members = set(rows.tolist())
        self._shingles_of, self._rarity, self._threshold = shingles_of, rarity, threshold
        self._scope_of = scope_of
        self._kept: dict[int, list[int]] = {}
        """By shingle and scope, rows."""
        self._sizes: dict[int, int] = {}
        """Of the rows kept, how many shingles they have."""

    def keep(self, row: int) -> None:
        """A row that later ones are compared with."""
        if row in self._members:
            size, rarest = self._rarest(row)
            self._sizes[row] = size
            for shingle in rarest:
                self._kept.setdefault(shingle, []).append(row)

    def before(self, row: int) -> Numbers:
        """The rows kept so far that may be like a row, in order."""
        if row not in self._members:
            return np.empty(0, dtype=np.int64)
        size, rarest = self._rarest(row)
        rows = _union([self._kept.get(shingle, ()) for shingle in rarest])
        sizes = np.array([self._sizes[other] for other in rows.tolist()], dtype=np.int64)
        common = np.minimum(sizes, size) + _ROUNDING
        return rows[common >= self._threshold * np.maximum(sizes, size)]

    def _rarest(self, row: int) -> tuple[int, list[int]]:
        shingles = self._shingles_of(row)
        size = len(shingles)
        count = size - math.ceil(self._threshold * size - _ROUNDING) + 1
        rarest = self._rarity.rarest(shingles, count).tolist() or [_NOTHING]
        scope = self._scope_of(row)
        return size, [shingle ^ scope for shingle in rarest]


def _union(parts: Sequence[Sequence[int]]) -> Numbers:
    found: set[int] = set()
    for part in parts:
        found.update(part)
    return np.array(sorted(found), dtype=np.int64)
