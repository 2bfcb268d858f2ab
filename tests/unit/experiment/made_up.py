"""Results of trainings that never were, with known effects."""

import random

from schemas.experiment_result import Budget, CellResult, PartBudget
from schemas.retention import Measured, MeasuredChoices, MeasuredSamples, MeasuredTask

ITEMS = 40


def measured(knows: float, task_nll: float, *, seed: int = 0, kl: float = 0.0) -> Measured:
    """A model that knows a share of two sets of questions."""
    rng = random.Random(seed)
    return Measured(
        model="m",
        weights="w",
        device="cpu",
        dtype="float32",
        choices={name: choices(knows, rng) for name in ("capitals", "elements")},
        samples={
            "own": MeasuredSamples(
                items="s", kl=(kl,) * 5, tokens=(10,) * 5, cka=(1.0, 1 - kl), layers=(0, 1)
            )
        },
        task={
            "sums": MeasuredTask(
                items="t",
                nll=tuple(task_nll * 20 + rng.gauss(0, 1) for _ in range(30)),
                tokens=(20,) * 30,
            )
        },
    )


def choices(knows: float, rng: random.Random) -> MeasuredChoices:
    """The first so many of its questions are known, give or take one."""
    known = round(knows * ITEMS) + rng.choice((-1, 0, 1)) * (0 < knows < 1)
    return MeasuredChoices(
        items="c",
        questions=("?",) * ITEMS,
        choices=(("a", "b"),) * ITEMS,
        answers=(0,) * ITEMS,
        scores=tuple((-1.0, -2.0) if i < known else (-1.0, -0.5) for i in range(ITEMS)),
    )


def cell(arm: str, seed: int, found: Measured, *, judged: bool = True, replay: int = 0):
    """A cell with its budget."""
    parts = {"task": PartBudget(rows=80, tokens=8000, learned=3000)}
    if replay:
        parts["replay"] = PartBudget(rows=40, tokens=replay, learned=replay)
    return CellResult(
        arm=arm,
        seed=seed,
        judged=judged,
        asked="a",
        digest="d",
        budget=Budget(parts=parts, steps=10, rows_per_step=8),
        loss=1.0,
        seconds={"train": 3.0},
        measured=found,
    )
