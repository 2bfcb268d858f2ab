"""How sure a mean is: standard errors and intervals over items, over pairs of items, over seeds.

Pure. An interval is Student's, so that three seeds give as wide a one as three seeds deserve. Two
models that were asked the same are compared item by item: what an item costs both cancels, and the
interval of the difference is far narrower than those of the two means tell.
"""

from collections.abc import Sequence
from math import comb, fsum, sqrt

import numpy as np
import numpy.typing as npt

from schemas.retention import Flips, Interval

LEVEL = 0.95

Floats = npt.NDArray[np.float64]
Numbers = Sequence[float] | Floats


def mean_interval(
    values: Numbers, weights: Numbers | None = None, *, level: float = LEVEL
) -> Interval:
    """The mean and where it lies, for items or for seeds.

    With weights it is the ratio of two sums, `sum(w * v) / sum(w)`, such as nats a token over
    texts of different lengths; its standard error is that of the linearised ratio. Values that are
    all the same, such as the flips of answers of which none flipped, tell nothing of how far others
    would differ, so they have no interval.
    """
    found = _floats(values)
    weight = np.ones_like(found) if weights is None else _floats(weights)
    total = fsum(weight)
    if not len(found) or not total > 0:
        raise ValueError("expected at least one value, and weights that do not add up to zero")
    value = fsum(weight * found) / total
    if np.ptp(found) == 0:
        return Interval(value=value, n=len(found))
    residuals = weight * (found - value)
    se = sqrt(len(found) / (len(found) - 1) * fsum(residuals**2)) / total
    return _interval(value, se, len(found), level)


def paired_interval(
    before: Numbers,
    after: Numbers,
    weights: Numbers | None = None,
    *,
    level: float = LEVEL,
) -> Interval:
    """The mean of after less before, item by item."""
    if len(before) != len(after):
        raise ValueError(f"found {len(before)} and {len(after)} values, expected as many")
    return mean_interval(_floats(after) - _floats(before), weights, level=level)


def share_interval(right: Sequence[bool], *, level: float = LEVEL) -> Interval:
    """A share of items, by Wilson's score: inside 0 and 1, and no point where all are right."""
    n = len(right)
    if not n:
        raise ValueError("expected at least one item")
    share = sum(right) / n
    z = _normal_quantile(level)
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return Interval(
        value=share,
        se=sqrt(share * (1 - share) / n),
        low=max(0.0, min(share, middle - half)),
        high=min(1.0, max(share, middle + half)),
        n=n,
    )


def count_flips(before: Sequence[bool], after: Sequence[bool]) -> Flips:
    """Which answers changed sides, and whether as many did in both directions."""
    pairs = list(zip(before, after, strict=True))
    lost, won = pairs.count((True, False)), pairs.count((False, True))
    return Flips(lost=lost, won=won, p=_sign_test(lost, won))


def _interval(value: float, se: float, n: int, level: float) -> Interval:
    from scipy.special import stdtrit

    half = se * float(stdtrit(n - 1, (1 + level) / 2))
    return Interval(value=value, se=se, low=value - half, high=value + half, n=n)


def _normal_quantile(level: float) -> float:
    from statistics import NormalDist

    return NormalDist().inv_cdf((1 + level) / 2)


def _sign_test(one: int, other: int) -> float:
    """Two-sided, exact: how often a fair coin falls at least so unevenly."""
    tosses = one + other
    tail = sum(comb(tosses, k) for k in range(min(one, other) + 1))
    return min(1.0, float(2 * tail / (1 << tosses)))


def _floats(values: Numbers) -> Floats:
    return np.asarray(values, dtype=np.float64)
