"""The selection: which of the candidates that passed the filters are kept, family by family.

It is greedy. The best candidate left of a family is kept, and what repeats it is dropped with it
as the keeper; so a keeper is always a kept node. What is left once the family is full is surplus.
A kept opening also drops what repeats it in the families after its own, in all of the cohort.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from pipeline.curate.ranking import ByRelevance, InOrder, Ranking, Relevance
from pipeline.curate.repeats import Closed, Repeats
from pipeline.curate.vectors import Directions
from schemas.curation_spec import DiversitySpec
from schemas.records import KEEP, Verdict

SURPLUS = Verdict("surplus")


@cache
def _kept_at(rank: int) -> Verdict:
    return Verdict(mmr_rank=rank)


@dataclass(frozen=True, eq=False)
class Selection:
    """A wave, as far as its verdicts are known."""

    node_ids: Sequence[str]
    verdicts: list[Verdict]
    """By row; without meaning where not closed."""
    closed: Closed
    relevance: Relevance
    directions: Directions
    repeats: Sequence[Repeats]
    """In the order in which they name the reason."""
    diversity: DiversitySpec | None

    def choose(self, family: range, fanout: int) -> None:
        """Judge a family; those before it in row order are judged."""
        if len(family) == 1:
            if not self.closed[family[0]]:
                self._keep(family[0], rank=0)
            return
        ranking = self._ranking(slice(family.start, family.stop))
        self._keep_the_best(family, ranking, fanout)
        for row in family:
            if not self.closed[row]:
                self._drop_surplus(row, family, ranking)

    def _ranking(self, rows: slice) -> Ranking:
        closed = self.closed[rows]
        if self.diversity is None and not self.directions.known:
            return InOrder(closed)
        return ByRelevance(self.diversity, self.relevance[rows], self.directions[rows], closed)

    def _keep_the_best(self, family: range, ranking: Ranking, fanout: int) -> None:
        rank = 0
        while rank < fanout and (place := ranking.best()) is not None:
            row = family[place]
            gone = self._keep(row, rank=rank)
            gone += self._drop_similar(row, family, ranking.keep(place))
            rank += 1
            for other in gone:
                if other in family:
                    ranking.remove(other - family.start)

    def _keep(self, row: int, *, rank: int) -> list[int]:
        """Keep a row and drop what repeats it; the rows that are closed by this."""
        gone = [row]
        for repeats in self.repeats:
            for other, similarity in repeats.of(row, self.closed):
                if self._drop(other, repeats.reason, row, similarity):
                    gone.append(other)
        self.closed[row] = True
        self.verdicts[row] = KEEP if self.diversity is None else _kept_at(rank)
        return gone

    def _drop_similar(self, row: int, family: range, similar: list[tuple[int, float]]) -> list[int]:
        return [
            family[place]
            for place, cosine in similar
            if self._drop(family[place], "similar", row, cosine)
        ]

    def _drop(self, row: int, reason: str, keeper: int, similarity: float) -> bool:
        """Drop a row unless it is closed."""
        if self.closed[row]:
            return False
        self.closed[row] = True
        self.verdicts[row] = Verdict(reason, self.node_ids[keeper], _stored(similarity))
        return True

    def _drop_surplus(self, row: int, family: range, ranking: Ranking) -> None:
        """With the kept sibling that it is closest to, where vectors tell."""
        closest = ranking.closest(row - family.start)
        if closest is None:
            self.closed[row], self.verdicts[row] = True, SURPLUS
        else:
            place, cosine = closest
            self._drop(row, "surplus", family[place], cosine)


def _stored(similarity: float) -> float:
    """As the node table gives it back."""
    return float(np.float32(similarity))
