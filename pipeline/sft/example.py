"""An example: one row of token ids, which of them are learned, and what stands behind it."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from schemas.records import Ids, TopLogprobs

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
