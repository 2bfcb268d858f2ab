"""Repeats: candidates that say the same as another of their scope, or nearly the same.

The scope of a candidate is its family, or the whole wave where that is a cohort's openings.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from functools import cached_property
from math import ceil, sqrt
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from pipeline.curate.bands import Buckets, band_keys
from pipeline.curate.mixing import Hashes
from pipeline.curate.shingles import jaccards, shingle_sets
from schemas.measures import Signatures
from schemas.records import Role

Closed = npt.NDArray[np.bool_]
"""By row of the wave: whether its verdict is known."""

Rows = npt.NDArray[np.int64]


class Crowd(NamedTuple):
    """The open rows that are not alone in their scope; all others repeat nothing."""

    rows: Rows
    """Of the wave, in order."""
    scopes: Rows
    """By place in `rows`."""
    role: Role


def crowd_of(families: Sequence[range], closed: Closed, role: Role, *, in_all: bool) -> Crowd:
    """Those to be compared: in their family, or in all of the wave."""
    numbers = np.arange(len(families))
    scopes = np.repeat(np.zeros_like(numbers) if in_all else numbers, list(map(len, families)))
    crowded = np.bincount(scopes, weights=~closed) > 1
    rows = np.flatnonzero(~closed & crowded[scopes])
    return Crowd(rows, scopes[rows], role)


class Repeats(Protocol):
    """One way to repeat another candidate."""

    reason: str

    def of(self, row: int, closed: Closed) -> Iterable[tuple[int, float]]:
        """The rows that repeat a row, and how similar they are. Closed ones may be left out."""
        ...


class SameText:
    """The same text, white space around it left aside."""

    reason = "duplicate"

    def __init__(self, texts: Sequence[str], crowd: Crowd) -> None:
        groups: dict[tuple[int, str], list[int]] = defaultdict(list)
        for row, scope in zip(crowd.rows.tolist(), crowd.scopes.tolist(), strict=True):
            groups[scope, texts[row].strip()].append(row)
        self._group_of = {row: group for group in groups.values() if group[1:] for row in group}

    def of(self, row: int, closed: Closed) -> Iterable[tuple[int, float]]:
        """The others of its group."""
        return [(other, 1.0) for other in self._group_of.get(row, ()) if other != row]


class NearText:
    """A shared bucket, and exact Jaccard similarity of shingles from a threshold on."""

    reason = "near_duplicate"

    def __init__(
        self, texts: Sequence[str], crowd: Crowd, signatures: Signatures, threshold: float
    ) -> None:
        self._texts, self._crowd, self._threshold = texts, crowd, threshold
        self._buckets = Buckets(band_keys(signatures[crowd.rows], crowd.scopes))
        places = self._buckets.rows.tolist()
        self._place_of = dict(zip(crowd.rows[places].tolist(), places, strict=True))
        """Of the rows that have neighbours."""
        self._sieve = Sieve(signatures[crowd.rows], threshold)

    def of(self, row: int, closed: Closed) -> Iterable[tuple[int, float]]:
        """Neighbours that are similar enough; no other texts are looked at."""
        place = self._place_of.get(row)
        if place is None:
            return ()
        places = self._buckets.neighbours(place)
        places = places[~closed[self._crowd.rows[places]]]
        near = self._crowd.rows[self._sieve.alike(place, places)]
        if not len(near):
            return ()
        others = near.tolist()
        sets = self._sets
        similarities = jaccards(sets[row], [sets[other] for other in others])
        return [
            (other, similarity)
            for other, similarity in zip(others, similarities.tolist(), strict=True)
            if similarity >= self._threshold
        ]

    @cached_property
    def _sets(self) -> dict[int, Hashes]:
        """The shingles of the rows that have neighbours; made when the first is asked about."""
        rows = self._crowd.rows[self._buckets.rows].tolist()
        texts = list(dict.fromkeys(self._texts[row] for row in rows))
        known = dict(zip(texts, shingle_sets(texts, self._crowd.role), strict=True))
        return {row: known[self._texts[row]] for row in rows}


class Sieve:
    """Sorts out neighbours whose signatures agree in too few places, before texts are looked at.

    Of a pair at the threshold it loses about one in a million, far fewer than the bands do. Where
    openings come from one template, half of all rows share a bucket, and few agree in more.
    """

    def __init__(self, signatures: Signatures, threshold: float) -> None:
        width = signatures.shape[1]
        spread = sqrt(width * threshold * (1 - threshold))
        self._least = ceil(width * threshold - _SPREADS * spread)
        # A byte of each value is enough to tell most differing ones apart.
        self._low = signatures.astype(np.uint8)

    def alike(self, place: int, others: Rows) -> Rows:
        """Those of some rows that may be similar enough."""
        if len(others) < _WORTHWHILE:
            return others
        agree = np.count_nonzero(self._low[others] == self._low[place], axis=1)
        left: Rows = others[agree >= self._least]
        return left


_SPREADS = 5.0
_WORTHWHILE = 8
