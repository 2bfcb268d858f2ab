"""The result of an experiment, as far as its cells are done."""

from collections.abc import Sequence
from statistics import fmean
from typing import NamedTuple

from pipeline.experiment.measures import measures_of, value_of
from pipeline.experiment.table import Cells, by_arm, tables
from schemas.experiment_result import CellResult, ExperimentResult
from schemas.retention import Measured


class Asked(NamedTuple):
    """What there should be."""

    reference: str
    task: str
    arms: tuple[str, ...]
    judged: tuple[int, ...]


def result_of(asked: Asked, original: Measured, cells: Sequence[CellResult]) -> ExperimentResult:
    """The table over the judged cells, and beside it what the others gave."""
    judged, others = by_arm(cells, judged=True), by_arm(cells, judged=False)
    ordered = {arm: judged[arm] for arm in asked.arms if arm in judged}
    firsts = {cell.arm: cell for cell in sorted(cells, key=lambda c: (c.judged, -c.seed))}
    return ExperimentResult(
        reference=asked.reference,
        task=asked.task,
        arms=asked.arms,
        judged=asked.judged,
        missing=tuple(
            f"{arm}/{seed}"
            for seed in asked.judged
            for arm in asked.arms
            if seed not in judged.get(arm, {})
        ),
        budgets={arm: firsts[arm].budget for arm in asked.arms if arm in firsts},
        seconds=_seconds(asked.arms, cells),
        measures=tuple(tables(original, ordered, asked.reference)),
        cka=_cka(ordered),
        layers={name: one.layers for name, one in original.samples.items() if one.layers},
        chosen_on={
            arm: {
                m.key: fmean(value_of(cell.measured, m) for cell in others[arm].values())
                for m in measures_of(original)
            }
            for arm in asked.arms
            if arm in others
        },
    )


def _seconds(arms: Sequence[str], cells: Sequence[CellResult]) -> dict[str, float]:
    taken = {arm: [sum(c.seconds.values()) for c in cells if c.arm == arm] for arm in arms}
    return {arm: round(fmean(times), 2) for arm, times in taken.items() if times}


def _cka(cells: Cells) -> dict[str, dict[str, tuple[float, ...]]]:
    """By set of samples and arm, each layer's mean over the seeds."""
    found: dict[str, dict[str, tuple[float, ...]]] = {}
    for arm, seeds in cells.items():
        for name in next(iter(seeds.values())).measured.samples:
            layers = [cell.measured.samples[name].cka for cell in seeds.values()]
            if all(layers):
                found.setdefault(name, {})[arm] = tuple(map(fmean, zip(*layers, strict=True)))
    return found
