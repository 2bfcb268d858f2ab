"""Fieller's interval: what may be said of a ratio of two means that both vary with the seed."""

import math
from collections.abc import Sequence
from typing import NamedTuple


class Ratio(NamedTuple):
    """A ratio of means, and between which bounds it lies."""

    value: float
    low: float | None
    high: float | None
    """None: no bound. Where the divisor is not clearly other than zero, every ratio may be true."""


def fieller(above: Sequence[float], below: Sequence[float], t: float) -> Ratio:
    """The ratio of paired means, with the interval that a quantile of Student's t gives.

    All ratios r for which the mean of above - r x below is not further from zero than t standard
    errors: exact for normal numbers, and honest where the divisor is small, as no other is.
    """
    n = len(above)
    top, bottom = sum(above) / n, sum(below) / n
    value = top / bottom if bottom else math.nan
    if n < 2 or math.isnan(value):
        return Ratio(value, None, None)
    tt, tb, bb = _moments(above, below, top, bottom)
    scale = t * t / n
    a, b, c = bottom**2 - scale * bb, top * bottom - scale * tb, top**2 - scale * tt
    if a <= 0:
        return Ratio(value, None, None)
    # Rounding may take what is zero, where nothing varies, a little below it.
    half = math.sqrt(max(0.0, b * b - a * c))
    return Ratio(value, (b - half) / a, (b + half) / a)


def _moments(
    above: Sequence[float], below: Sequence[float], top: float, bottom: float
) -> tuple[float, float, float]:
    """Variances and covariance, without bias."""
    n = len(above)
    off = [(x - top, y - bottom) for x, y in zip(above, below, strict=True)]
    return (
        sum(x * x for x, _ in off) / (n - 1),
        sum(x * y for x, y in off) / (n - 1),
        sum(y * y for _, y in off) / (n - 1),
    )
