"""Cells: an arm at a seed, the unit that is done or not."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from schemas.experiment_spec import SeedsSpec


@dataclass(frozen=True)
class Cell:
    """An arm at a seed."""

    arm: str
    seed: int
    judged: bool
    """Whether its result counts, or only helps to choose settings."""

    @property
    def folder(self) -> str:
        """Below the experiment's output."""
        return f"{self.arm}/{self.seed}"


def plan(
    arms: Sequence[str], seeds: SeedsSpec, only_seeds: Iterable[int] | None = None
) -> list[Cell]:
    """All cells, seed by seed, so that what is done early can be compared early."""
    wanted = None if only_seeds is None else set(only_seeds)
    ordered = [(seed, False) for seed in seeds.choose] + [(seed, True) for seed in seeds.judge]
    return [
        Cell(arm, seed, judged)
        for seed, judged in ordered
        if wanted is None or seed in wanted
        for arm in arms
    ]


def left_s(cells: Sequence[Cell], seconds: dict[Cell, float]) -> float | None:
    """How long the cells that are not among those timed will take: as their arm's, or the mean."""
    if not seconds:
        return None
    mean = sum(seconds.values()) / len(seconds)
    by_arm: dict[str, list[float]] = {}
    for cell, taken in seconds.items():
        by_arm.setdefault(cell.arm, []).append(taken)
    return sum(
        sum(by_arm[cell.arm]) / len(by_arm[cell.arm]) if cell.arm in by_arm else mean
        for cell in cells
        if cell not in seconds
    )
