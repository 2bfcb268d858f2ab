"""Budgets: how many tokens each arm trains on, and whether arms can be compared by that."""

from collections.abc import Iterator, Mapping, Sequence
from statistics import median
from typing import NamedTuple

from schemas.curation_spec import Strict
from schemas.experiment_result import Budget, PartBudget

TOLERANCE = 0.02
"""Of tokens."""
STEPS_TOLERANCE = 0.06
"""A batch holds whole rows: half a row of eight is as near as one may come."""


class CountedRows(Strict):
    """The rows of a mixture, in the order of training."""

    names: tuple[str, ...]
    """Of the parts."""
    parts: tuple[int, ...]
    """By row, the index of its part."""
    tokens: tuple[int, ...]
    learned: tuple[int, ...]
    digest: str
    """Of all ids and labels."""

    def __len__(self) -> int:
        return len(self.parts)


class Sums(NamedTuple):
    """A budget from the point of view of the comparison."""

    task: int
    replay: int
    steps: int


def sums(budget: Budget, task: str) -> Sums:
    """Task against all else."""
    others = [name for name in budget.parts if name != task]
    return Sums(tokens(budget, [task]), tokens(budget, others), budget.steps)


def tokens(budget: Budget, names: Sequence[str]) -> int:
    """Of some of its parts."""
    return sum(part.tokens for name, part in budget.parts.items() if name in names)


def rows_per_step(rows: int, steps: int) -> int:
    """How many rows a step takes so that there are about so many steps."""
    return max(1, round(rows / steps))


def steps_of(rows: int, per_step: int, most: int | None = None) -> int:
    """Steps over so many rows; the last one may hold fewer."""
    steps = -(-rows // per_step)
    return steps if most is None else min(steps, most)


def unequal(budgets: Mapping[str, Budget], reference: str, task: str) -> Iterator[str]:
    """Where arms differ by more than is fair, in words."""
    by_arm = {arm: sums(budget, task) for arm, budget in budgets.items()}
    held = by_arm[reference]
    replays = [found.replay for found in by_arm.values() if found.replay]
    usual = round(median(replays)) if replays else 0
    for arm, found in by_arm.items():
        if _differ(found.task, held.task, TOLERANCE):
            yield f"{arm} sees {found.task:,} tokens of the task, {reference} {held.task:,}"
        if found.replay and _differ(found.replay, usual, TOLERANCE):
            yield f"{arm} replays {found.replay:,} tokens, the median arm {usual:,}"
        if _differ(found.steps, held.steps, STEPS_TOLERANCE):
            yield f"{arm} takes {found.steps:,} steps, {reference} {held.steps:,}"


def budget_of(rows: CountedRows, per_step: int, most: int | None = None) -> Budget:
    """What so many steps train on."""
    steps = steps_of(len(rows), per_step, most)
    used = min(len(rows), steps * per_step)
    found = {name: [0, 0, 0] for name in rows.names}
    counted = zip(rows.parts[:used], rows.tokens[:used], rows.learned[:used], strict=True)
    for part, tokens_of, learned in counted:
        counts = found[rows.names[part]]
        counts[0] += 1
        counts[1] += tokens_of
        counts[2] += learned
    parts = {n: PartBudget(rows=c[0], tokens=c[1], learned=c[2]) for n, c in found.items()}
    return Budget(parts=parts, steps=steps, rows_per_step=per_step)


def _differ(found: int, expected: int, tolerance: float) -> bool:
    return abs(found - expected) > tolerance * max(expected, 1)
