"""The protocol of a filter: numbers about a turn there, a comparison of numbers here.

`measure` runs in CPU workers and looks at one turn. It knows no thresholds, so that what would
fall at another threshold can be told from stored scores. `drops` runs in the driver, on all
turns of a wave at once. NaN means that there is nothing to say, and never drops.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from pipeline.curate.reading import Reading
from schemas.measures import Measures, Scores

Mask = npt.NDArray[np.bool_]

Columns = Callable[[Sequence[Any]], tuple[str, ...]]
Measure = Callable[[Reading, Sequence[Any]], tuple[float, ...]]
Drops = Callable[[Measures, Any], Mask]


class Filter(NamedTuple):
    """One rule. `entries` are all of the spec's list that name it, for the role of the turn."""

    version: int
    """Rises whenever a number or a comparison would change; part of a run's identity."""
    columns: Columns
    """Of entries: the scores that it gives. Filters may share one, which means the same to all."""
    measure: Measure
    """Of a reading and entries: a number a column, NaN where there is nothing to say."""
    drops: Drops
    """Of a wave's measures and one entry: the rows that fall."""
    library: str = ""
    """The distribution whose data decide the numbers; its version joins the filter's."""


def always(*names: str) -> Columns:
    """Columns that are the same whatever the entries say."""
    return lambda entries: names


def score(measures: Measures, name: str) -> Scores:
    """One score of every turn; all NaN where no turn has it, as stored rows leave such out."""
    if name in measures.names:
        return measures.column(name)
    return np.full(len(measures), np.nan, dtype=np.float32)


def share_of(part: float, whole: float) -> float:
    """A share, NaN of nothing."""
    return part / whole if whole else float("nan")
