"""Who of a family is to be kept next: by maximal marginal relevance, or in row order.

By relevance, the next one is the one with the largest weight * relevance - (1 - weight) * nearest,
where nearest is its largest cosine with those kept before it, and 0 for the first; the earliest of
equals. Without diversity all are worth the same, so they are kept in row order.
"""

from typing import Protocol

import numpy as np
import numpy.typing as npt

from pipeline.curate.vectors import Directions
from schemas.curation_spec import DiversitySpec

Relevance = npt.NDArray[np.float64]

_OUT = -np.inf
"""The worth of who cannot be kept any more."""


class Ranking(Protocol):
    """One family; its members are named by their place in it."""

    def best(self) -> int | None:
        """The next one to be kept; None when nobody is left."""
        ...

    def keep(self, place: int) -> list[tuple[int, float]]:
        """Keep one; who is too similar to it, with the cosine, itself perhaps among them."""
        ...

    def closest(self, place: int) -> tuple[int, float] | None:
        """Who of those kept is closest to one, with the cosine; None where nothing is known."""
        ...

    def remove(self, place: int) -> None:
        """One that was kept or dropped."""
        ...


class InOrder:
    """Where nothing is known that tells them apart."""

    def __init__(self, closed: npt.NDArray[np.bool_]) -> None:
        self._left = np.flatnonzero(~closed).tolist()

    def best(self) -> int | None:
        """The first that is left."""
        return self._left[0] if self._left else None

    def keep(self, place: int) -> list[tuple[int, float]]:
        """Nobody is known to be similar."""
        return []

    def closest(self, place: int) -> tuple[int, float] | None:
        """Not known."""
        return None

    def remove(self, place: int) -> None:
        """One that was kept or dropped."""
        self._left.remove(place)


class ByRelevance:
    """Marginal relevance, where vectors are known or diversity is asked for."""

    def __init__(
        self,
        diversity: DiversitySpec | None,
        relevance: Relevance,
        directions: Directions,
        closed: npt.NDArray[np.bool_],
    ) -> None:
        weight = 0.0 if diversity is None else diversity.weight
        self._worth = np.where(closed, _OUT, weight * relevance)
        self._novelty = 0.0 if diversity is None else 1.0 - weight
        self._max_cosine = None if diversity is None else diversity.max_cosine
        self._directions = directions if directions.known else None
        self._nearest: npt.NDArray[np.float64] | None = None
        self._keeper = np.empty(0, dtype=np.int64)
        """By place, which of those kept is nearest to it, the first kept of equals."""

    def best(self) -> int | None:
        """The next one to be kept; None when nobody is left."""
        worth = self._worth
        if self._nearest is not None:
            worth = worth - self._novelty * self._nearest
        place = int(worth.argmax())
        return None if worth[place] == _OUT else place

    def keep(self, place: int) -> list[tuple[int, float]]:
        """Keep one; who is too similar to it, with the cosine, itself perhaps among them."""
        if self._directions is None:
            return []
        cosines = self._directions.with_one(place)
        if self._nearest is None:
            self._nearest = cosines.copy()
            self._keeper = np.full(len(cosines), place)
        else:
            nearer = cosines > self._nearest
            np.copyto(self._nearest, cosines, where=nearer)
            np.copyto(self._keeper, place, where=nearer)
        if self._max_cosine is None:
            return []
        hits = np.flatnonzero(cosines >= self._max_cosine)
        return list(zip(hits.tolist(), cosines[hits].tolist(), strict=True))

    def closest(self, place: int) -> tuple[int, float] | None:
        """Who of those kept is closest to one, with the cosine; None where nothing is known."""
        if self._nearest is None:
            return None
        return int(self._keeper[place]), float(self._nearest[place])

    def remove(self, place: int) -> None:
        """One that was kept or dropped."""
        self._worth[place] = _OUT
