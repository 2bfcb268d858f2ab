"""Bands: which signatures agree in some rows in a row, and so may be of near duplicates.

25 bands of 5 rows find a pair whose Jaccard similarity is s with probability 1 - (1 - s^5)^25:
of 0.7 by 99 in 100, of 0.8 by 9,999 in 10,000, of 0.3 by 6 in 100. Who is found is compared
exactly.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.curate.mixing import BASE, Hashes, mix
from schemas.measures import Signatures

Rows = npt.NDArray[np.intp]

BANDS = 25
ROWS = 5


def band_keys(signatures: Signatures, scopes: npt.NDArray[np.integer[Any]] | None = None) -> Hashes:
    """n x BANDS keys. Those of two rows agree where their bands do, if their scopes do too."""
    values = np.ascontiguousarray(signatures).reshape(-1, BANDS, ROWS)
    keys = np.zeros((len(values), BANDS), dtype=np.uint64)
    for row in range(ROWS):
        keys += values[:, :, row]
        keys *= BASE
    keys += mix(np.arange(BANDS, dtype=np.uint64))
    if scopes is not None:
        keys ^= mix(scopes.astype(np.uint64))[:, None]
    return mix(keys.reshape(-1)).reshape(-1, BANDS)


class Buckets:
    """Which rows share a key. Keeps only the keys that more than one row has."""

    rows: Rows
    """Those that share a key with another, in order."""

    def __init__(self, keys: Hashes) -> None:
        count, bands = keys.shape
        members, self._edges = _shared(keys.reshape(-1))
        members //= bands
        self._members = members
        buckets = np.repeat(np.arange(len(self._edges) - 1), np.diff(self._edges))
        order = np.argsort(members, kind="stable")
        self._buckets = buckets[order]
        self._firsts = np.searchsorted(members[order], np.arange(count + 1))
        self.rows = np.flatnonzero(np.diff(self._firsts))
        self._count = count

    def neighbours(self, row: int) -> Rows:
        """The other rows that share a key with it, in order."""
        buckets = self._buckets[self._firsts[row] : self._firsts[row + 1]]
        if not len(buckets):
            return _NOBODY
        stops = self._edges[buckets + 1]
        sizes = stops - self._edges[buckets]
        ends = sizes.cumsum()
        places = np.repeat(stops - ends, sizes)
        places += np.arange(len(places))
        return _others(self._members[places], row, self._count)


_NOBODY = np.zeros(0, dtype=np.intp)
_SPARSE = 64
"""Flags for all rows are dearer than sorting, from so many rows for each that is met."""


def _shared(keys: Hashes) -> tuple[Rows, Rows]:
    """Places of keys that stand more than once, by key, and where each key's places begin."""
    order = np.argsort(keys)
    ranked = keys[order]
    same = np.zeros(len(keys) + 1, dtype=np.bool_)
    same[1:-1] = ranked[1:] == ranked[:-1]
    firsts = np.flatnonzero(same[1:] & ~same[:-1])
    lasts = np.flatnonzero(same[:-1] & ~same[1:])
    edges = np.zeros(len(firsts) + 1, dtype=np.intp)
    np.cumsum(lasts - firsts + 1, out=edges[1:])
    return order[same[1:] | same[:-1]], edges


def _others(met: Rows, row: int, count: int) -> Rows:
    """All rows met but this one, each once, in order; rows are below `count`."""
    if len(met) * _SPARSE < count:
        met = np.sort(met[met != row])
        new = np.ones(len(met), dtype=np.bool_)
        np.not_equal(met[1:], met[:-1], out=new[1:])
        others: Rows = met[new]
        return others
    flags = np.zeros(count, dtype=np.bool_)
    flags[met] = True
    flags[row] = False
    return np.flatnonzero(flags)
