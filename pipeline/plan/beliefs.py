"""What a pilot's rows say of one level: how many children a parent keeps, and how long they are.

The model, in words. Of a parent's children each passes with some chance, and of those that pass at
most `fanout` are kept (`keeping`). Parents differ: below one nearly all pass, below another few. So
a hundred children of two parents say less than a hundred children of fifty, and two errors are
taken, of which the larger one holds:

- what was seen: how far the means of clusters lie apart, over the root of their number. Clusters
  are trees where there are many, else parents; few of them make it larger (Student).
- what must be expected: children of one or two parents may agree by chance, and then the first
  error would be none. So parents are taken to differ as much as parents of all levels together do
  (`Likeness`), and to the children seen one that passes and one that does not are added.

Beside its error, a mean has a spread: that of single parents or candidates in the real run, which
evens out where there are many of them. Lengths are treated as passing is.
"""

from collections.abc import Iterable, Sequence
from math import sqrt
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pipeline.plan.keeping import Keeping
from pipeline.plan.plan import LevelPlan

ENOUGH_TREES = 8
"""Clusters of which an error can be told; with fewer trees parents are the clusters."""
FEWEST = 3
_NORMAL_95 = 1.6449


class Family(NamedTuple):
    """The children of one parent in the pilot."""

    tree_id: int
    asked: int
    passed: int
    """Of those asked, what would be kept if there were room for all."""
    tokens: int
    """Sampled for them and about them."""
    squares: float
    """Of each child's tokens, added up."""


class Belief(NamedTuple):
    """A mean with its standard error, and how the things themselves are spread around it."""

    mean: float
    error: float
    spread: float


class Likeness(NamedTuple):
    """How far parents differ in their children, beyond what few children do by chance.

    The variance of parents' own means, less what that variance would be if all parents were equal.
    """

    chance: float = 0.0
    """Standard deviation, over parents, of the chance that a child passes."""
    length: float = 0.0
    """The same of its mean length, relative to it."""


def likeness_of(levels: Iterable[Sequence[Family]]) -> Likeness:
    """Over all levels with some parents; those with more of them count for more."""
    weights, chances, lengths = [], [], []
    for families in levels:
        if len(families) >= FEWEST:
            weights.append(len(families) - 1)
            chances.append(_chance_variance(families))
            lengths.append(_length_variance(families))
    if not weights:
        return Likeness()
    variances = (np.average(found, weights=weights) for found in (chances, lengths))
    return Likeness(*(sqrt(max(0.0, float(variance))) for variance in variances))


def _chance_variance(families: Sequence[Family]) -> float:
    asked = np.array([family.asked for family in families], dtype=np.float64)
    passed = np.array([family.passed for family in families], dtype=np.float64)
    chance = passed.sum() / asked.sum()
    own = chance * (1 - chance) * np.mean(1 / asked)
    return float(np.var(passed / asked, ddof=1) - own)


def _length_variance(families: Sequence[Family]) -> float:
    asked = np.array([family.asked for family in families], dtype=np.float64)
    means = np.array([family.tokens for family in families]) / asked
    squares = sum(family.squares for family in families)
    if asked.sum() <= len(families) or not means.any():
        return 0.0
    own = (squares - float(asked @ means**2)) / (asked.sum() - len(families)) * np.mean(1 / asked)
    return float((np.var(means, ddof=1) - own) / np.mean(means) ** 2)


def kept_belief(row: LevelPlan, families: Sequence[Family], likeness: Likeness) -> Belief:
    """How many children a parent of the real run keeps."""
    asked = sum(family.asked for family in families)
    passed = sum(family.passed for family in families)
    keeping = Keeping(row.asked_per_parent, row.fanout)
    likely = (passed + 1) / (asked + 2)
    spread = np.hypot(keeping.deviation(likely), _effect(keeping, likely, likeness.chance))
    if families and all(family.asked >= row.asked_per_parent for family in families):
        kept = [min(row.fanout, family.passed) for family in families]
        error = max(_error(families, kept, [1] * len(kept)), spread / sqrt(len(kept)))
        return Belief(float(np.mean(kept)), error, max(spread, float(np.std(kept))))
    few = likely * (1 - likely) / max(1, asked) + likeness.chance**2 / max(1, len(families))
    error = _error(families, [f.passed for f in families], [f.asked for f in families])
    mean = keeping.mean(passed / asked if asked else likely)
    return Belief(mean, _effect(keeping, likely, max(error, sqrt(few))), spread)


def _effect(keeping: Keeping, chance: float, error: float) -> float:
    """What an error of the chance is in children that are kept."""
    low, high = max(0.0, chance - error), min(1.0, chance + error)
    return (keeping.mean(high) - keeping.mean(low)) / 2


def token_belief(most: float, families: Sequence[Family], likeness: Likeness) -> Belief:
    """Tokens of a candidate, those about it among them; `most` is what it may take."""
    asked = sum(family.asked for family in families)
    if asked < 2:
        return Belief(most / 2, most / sqrt(12), most / sqrt(12))
    tokens = [family.tokens for family in families]
    mean = sum(tokens) / asked
    spread = sqrt(max(0.0, sum(family.squares for family in families) / asked - mean**2))
    few = spread**2 / asked + (likeness.length * mean) ** 2 / len(families)
    error = _error(families, tokens, [family.asked for family in families])
    return Belief(mean, max(error, sqrt(few)), spread)


def _error(families: Sequence[Family], sums: Sequence[float], sizes: Sequence[float]) -> float:
    """Of the ratio of two sums, over clusters; 0 where there are too few of them.

    What is left of each cluster's sum, once the common ratio times its size is taken away, is its
    own luck; these add up by their squares. The error is stretched so that an interval of the
    normal distribution is one of Student's.
    """
    clusters = _clusters(families)
    count = int(clusters.max()) + 1 if len(clusters) else 0
    if count < FEWEST:
        return 0.0
    total = np.bincount(clusters, weights=np.array(sums, dtype=np.float64))
    size = np.bincount(clusters, weights=np.array(sizes, dtype=np.float64))
    rest = total - total.sum() / size.sum() * size
    error = sqrt(count / (count - 1) * float(rest @ rest)) / float(size.sum())
    return error * _stretch(count - 1)


def _clusters(families: Sequence[Family]) -> npt.NDArray[np.intp]:
    """By family, the number of its cluster."""
    trees, of_tree = np.unique([family.tree_id for family in families], return_inverse=True)
    return of_tree if len(trees) >= ENOUGH_TREES else np.arange(len(families))


def _stretch(freedom: int) -> float:
    """The 95 % point of Student's distribution over that of the normal one (Cornish-Fisher)."""
    z = _NORMAL_95
    first = (z**3 + z) / (4 * freedom)
    second = (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2)
    return (z + first + second) / z
