"""Maximal marginal relevance: who of a family is to be kept next.

The next one is the one with the largest weight * relevance - (1 - weight) * nearest, where
nearest is its largest cosine with those kept before it, and 0 for the first; the earliest of
equals. Without diversity all are worth the same, so they are kept in row order.
"""

import numpy as np
import numpy.typing as npt

from pipeline.curate.vectors import Directions
from schemas.curation_spec import DiversitySpec

Relevance = npt.NDArray[np.float64]

_OUT = -np.inf
"""The worth of who cannot be kept any more."""


class Ranking:
    """One family; its members are named by their place in it."""

    def __init__(
        self,
        diversity: DiversitySpec | None,
        relevance: Relevance,
        directions: Directions,
        closed: npt.NDArray[np.bool_],
    ) -> None:
        weight = 0.0 if diversity is None else diversity.weight
        self._worth = np.where(closed, _OUT, weight * relevance)
        self._novelty = 1.0 - weight
        self._max_cosine = None if diversity is None else diversity.max_cosine
        self._directions = None if diversity is None or not directions.known else directions
        self._nearest: npt.NDArray[np.float64] | None = None

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
        else:
            np.maximum(self._nearest, cosines, out=self._nearest)
        if self._max_cosine is None:
            return []
        hits = np.flatnonzero(cosines >= self._max_cosine)
        return list(zip(hits.tolist(), cosines[hits].tolist(), strict=True))

    def remove(self, place: int) -> None:
        """One that was kept or dropped."""
        self._worth[place] = _OUT
