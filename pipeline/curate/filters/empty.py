"""A turn without any visible text, its reasoning left aside.

Our own rule: there is nothing to train on, and nothing to answer. Score `empty`: 1 or 0.
"""

from collections.abc import Sequence

from pipeline.curate.filters.filter import Filter, Mask, always, score
from pipeline.curate.reading import Reading
from schemas.filter_spec import EmptySpec
from schemas.measures import Measures


def _measure(reading: Reading, entries: Sequence[EmptySpec]) -> tuple[float]:
    return (float(not reading.num_tokens or not reading.num_chars),)


def _drops(measures: Measures, spec: EmptySpec) -> Mask:
    return score(measures, "empty") > 0


EMPTY = Filter(version=1, columns=always("empty"), measure=_measure, drops=_drops)
