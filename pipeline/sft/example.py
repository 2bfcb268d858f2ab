"""An example: one row of token ids, which of them are learned, and what stands behind it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from schemas.records import Ids, TopLogprobs

IGNORED = -100
"""The label of an id that carries no loss."""
NO_TOKEN = -1
"""Fills up a row with fewer likely tokens than others beside it."""

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Targets:
    """The writer's own distributions over some of an example's ids."""

    at: npt.NDArray[np.int32]
    """By row of `top`, which id of the example it is the distribution of; ascending."""
    top: TopLogprobs


@dataclass(frozen=True, slots=True, eq=False)
class Example:
    """One row to train on. The loss at an id is that of predicting it from all before it."""

    ids: Ids
    learned: Mask
    """As long as `ids`: which of them carry loss. The first never does."""
    source: str
    """Where it came from: a file and row, or a run's tree and leaf."""
    targets: Targets | None = None

    def cut(self, length: int) -> "Example":
        """Its first so many ids."""
        targets = self.targets
        if targets is not None:
            few = int(np.searchsorted(targets.at, length))
            ids, logprobs, tail = targets.top
            top = TopLogprobs(ids[:few], logprobs[:few], tail[:few])
            targets = Targets(targets.at[:few], top)
        return Example(self.ids[:length], self.learned[:length], self.source, targets)


def stacked(tops: Sequence[TopLogprobs]) -> TopLogprobs:
    """One table of all positions, as wide as the widest."""
    width = max(top.ids.shape[1] for top in tops)
    return TopLogprobs(
        np.concatenate([_widened(top.ids, width, NO_TOKEN) for top in tops]),
        np.concatenate([_widened(top.logprobs, width, -np.inf) for top in tops]),
        np.concatenate([top.tail for top in tops]),
    )


def _widened(rows: npt.NDArray[Any], width: int, filler: float) -> npt.NDArray[Any]:
    return np.pad(rows, ((0, 0), (0, width - rows.shape[1])), constant_values=filler)
