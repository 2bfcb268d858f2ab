"""How many of a parent's children are kept, where each passes with the same chance.

The pilot may ask fewer children of a parent than the run does, so that the share of those that pass
is what it tells; how many are kept follows: the binomial distribution, cut off at the fan-out.
"""

from math import inf, sqrt

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


class Keeping:
    """At most `fanout` of `asked` children, of those that pass. Chances are independent."""

    def __init__(self, asked: int, fanout: int) -> None:
        self._asked = asked
        numbers = np.arange(asked + 1)
        self._kept = np.minimum(numbers, fanout).astype(np.float64)
        logs = np.concatenate([[0.0], np.cumsum(np.log(np.maximum(numbers[1:], 1)))])
        self._log_ways = logs[-1] - logs - logs[::-1]

    def mean(self, chance: float) -> float:
        """Kept children, on average."""
        return float(self._probabilities(chance) @ self._kept)

    def deviation(self, chance: float) -> float:
        """The standard deviation of their number."""
        probabilities = self._probabilities(chance)
        mean = probabilities @ self._kept
        return sqrt(max(0.0, float(probabilities @ self._kept**2 - mean**2)))

    def _probabilities(self, chance: float) -> Floats:
        """By number of children, that so many pass."""
        passed = np.arange(self._asked + 1)
        yes, no = (np.log(c) if c > 0 else -inf for c in (chance, 1 - chance))
        with np.errstate(invalid="ignore"):
            logs = np.where(passed > 0, passed * yes, 0.0)
            logs = logs + np.where(passed < self._asked, (self._asked - passed) * no, 0.0)
        found: Floats = np.exp(self._log_ways + logs)
        return found
