"""Arms are comparable, or it is said which is not and by how much."""

from hypothesis import given
from hypothesis import strategies as st

from pipeline.experiment.budgets import STEPS_TOLERANCE, rows_per_step, steps_of, unequal
from schemas.experiment_result import Budget, PartBudget


def budget(task, replay=0, steps=60):
    parts = {"task": PartBudget(rows=1, tokens=task, learned=1)}
    if replay:
        parts["replay"] = PartBudget(rows=1, tokens=replay, learned=1)
    return Budget(parts=parts, steps=steps, rows_per_step=8)


def complaints(**budgets):
    return list(unequal(budgets, "none", "task"))


def test_equal_budgets_are_not_complained_of():
    assert complaints(none=budget(1000), wide=budget(1000, 500), l2=budget(1000)) == []
    assert complaints(none=budget(1000), wide=budget(1010, 495), kl=budget(990, 505)) == []


def test_fewer_tokens_of_the_task_are_named():
    (said,) = complaints(none=budget(1000), wide=budget(970, 500))
    assert "wide sees 970 tokens of the task, none 1,000" in said


def test_more_replay_than_the_median_arm_is_named():
    said = complaints(none=budget(100), a=budget(100, 500), b=budget(100, 500), c=budget(100, 520))
    assert said == ["c replays 520 tokens, the median arm 500"]


def test_other_steps_are_named():
    (said,) = complaints(none=budget(1000), wide=budget(1000, 500, steps=90))
    assert "wide takes 90 steps, none 60" in said


@given(st.integers(8, 64), st.integers(10, 500), st.integers(0, 40))
def test_matched_steps_are_as_near_as_whole_rows_allow(per_step, steps, more):
    rows = per_step * steps + more
    found = steps_of(rows, rows_per_step(rows, steps))
    assert abs(found - steps) <= max(1, STEPS_TOLERANCE * steps + 1)


@given(st.integers(1, 10_000), st.integers(1, 100))
def test_steps_take_every_row(rows, per_step):
    steps = steps_of(rows, per_step)
    assert (steps - 1) * per_step < rows <= steps * per_step
    assert steps_of(rows, per_step, 3) == min(steps, 3)
