"""The selection: which of the candidates that passed the filters are kept, family by family.

It is greedy. The best candidate left of a family is kept, and what repeats it is dropped with it
as the keeper; so a keeper is always a kept node. What is left once the family is full is surplus.
At level 1 a kept opening also drops what repeats it in the families after its own.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from pipeline.curate.ranking import Ranking, Relevance
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
        kept = self._keep_the_best(family, fanout)
        rest = [row for row in family if not self.closed[row]]
        if rest:
            self._drop_surplus(rest, kept)

    def _keep_the_best(self, family: range, fanout: int) -> list[int]:
        """In the order of keeping."""
        rows = slice(family.start, family.stop)
        ranking = Ranking(
            self.diversity, self.relevance[rows], self.directions[rows], self.closed[rows]
        )
        kept: list[int] = []
        while len(kept) < fanout and (place := ranking.best()) is not None:
            row = family[place]
            gone = self._keep(row, rank=len(kept))
            gone += self._drop_similar(row, family, ranking.keep(place))
            kept.append(row)
            for other in gone:
                if other in family:
                    ranking.remove(other - family.start)
        return kept

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

    def _drop_surplus(self, rest: list[int], kept: list[int]) -> None:
        """With the kept sibling that each is closest to, the first kept of equals."""
        self.closed[rest] = True
        if not self.directions.known:
            for row in rest:
                self.verdicts[row] = SURPLUS
            return
        cosines = self.directions[rest].cosines(self.directions[kept])
        closest = cosines.argmax(axis=1)
        for row, place, cosine in zip(
            rest, closest.tolist(), cosines.max(axis=1).tolist(), strict=True
        ):
            keeper = self.node_ids[kept[place]]
            self.verdicts[row] = Verdict("surplus", keeper, _stored(cosine))


def _stored(similarity: float) -> float:
    """As the node table gives it back."""
    return float(np.float32(similarity))
