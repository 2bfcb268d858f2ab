"""The table: every arm by every measure over the judged seeds, with intervals.

Three kinds of interval stand side by side. Over seeds (Student's t): how far another training
would differ. Over items: how far other questions would. Of what was recovered, Fieller's, over
seeds: a ratio of two differences, neither of which is known exactly.
"""

from collections.abc import Mapping, Sequence
from statistics import fmean

from pipeline.experiment.measures import Items, Measure, items_of, measures_of, value_of
from pipeline.experiment.ratio import fieller
from pipeline.intervals import mean_interval, paired_interval
from schemas.experiment_result import CellResult, Entry, MeasureTable, Recovered
from schemas.retention import Interval, Measured

LEVEL = 0.95

Cells = Mapping[str, Mapping[int, CellResult]]
"""By arm and seed."""


def by_arm(results: Sequence[CellResult], *, judged: bool) -> dict[str, dict[int, CellResult]]:
    """Those that count, or those that do not."""
    found: dict[str, dict[int, CellResult]] = {}
    for result in results:
        if result.judged == judged:
            found.setdefault(result.arm, {})[result.seed] = result
    return found


def tables(original: Measured, cells: Cells, reference: str) -> list[MeasureTable]:
    """A table for each measure; arms without a cell are not in it."""
    return [_table(original, cells, reference, measure) for measure in measures_of(original)]


def _table(original: Measured, cells: Cells, reference: str, measure: Measure) -> MeasureTable:
    before = value_of(original, measure)
    others = {arm: cells.get(reference, {}) for arm in cells if arm != reference}
    return MeasureTable(
        key=measure.key,
        title=measure.title,
        group=measure.group,
        higher_is_better=measure.higher_is_better,
        sets=len(measure.names),
        original=before,
        arms={
            arm: _entry(seeds, others.get(arm, {}), measure, before) for arm, seeds in cells.items()
        },
    )


def _entry(
    seeds: Mapping[int, CellResult],
    held: Mapping[int, CellResult],
    measure: Measure,
    before: float,
) -> Entry:
    values = {seed: value_of(cell.measured, measure) for seed, cell in sorted(seeds.items())}
    mean = mean_interval(list(values.values()), level=LEVEL)
    both = [seed for seed in values if seed in held]
    if not both:
        return Entry(values=values, mean=mean)
    ours = [values[seed] for seed in both]
    theirs = [value_of(held[seed].measured, measure) for seed in both]
    return Entry(
        values=values,
        mean=mean,
        difference=paired_interval(theirs, ours, level=LEVEL),
        over_items=_over_items([(held[s].measured, seeds[s].measured) for s in both], measure),
        recovered=_recovered(ours, theirs, before) if measure.group == "retention" else None,
    )


def _recovered(ours: Sequence[float], theirs: Sequence[float], before: float) -> Recovered | None:
    above = [our - their for our, their in zip(ours, theirs, strict=True)]
    below = [before - their for their in theirs]
    if not sum(below):
        return None
    found = fieller(above, below, _quantile(len(above)))
    return Recovered(value=found.value, low=found.low, high=found.high)


def _quantile(n: int) -> float:
    from scipy.special import stdtrit

    return float(stdtrit(n - 1, (1 + LEVEL) / 2)) if n > 1 else float("inf")


def _over_items(pairs: Sequence[tuple[Measured, Measured]], measure: Measure) -> Interval | None:
    """The paired difference over items, each item's being its mean over seeds."""
    found = [(items_of(theirs, measure), items_of(ours, measure)) for theirs, ours in pairs]
    whole = [(a, b) for a, b in found if a is not None and b is not None]
    if len(whole) < len(found) or len({len(i.values) for pair in whole for i in pair}) != 1:
        return None
    before, after = ([pair[side] for pair in whole] for side in (0, 1))
    if len(before[0].values) < 2:
        return None
    return paired_interval(_means(before), _means(after), before[0].weights, level=LEVEL)


def _means(items: Sequence[Items]) -> list[float]:
    return [fmean(values) for values in zip(*(i.values for i in items), strict=True)]
