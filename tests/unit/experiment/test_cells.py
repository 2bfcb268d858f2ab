"""Cells come in an order in which what is done early can be compared."""

from pipeline.experiment.cells import Cell, left_s, plan
from schemas.experiment_spec import SeedsSpec

SEEDS = SeedsSpec(choose=(0,), judge=(1, 2))


def test_plan_seed_by_seed_those_for_choosing_first():
    cells = plan(["none", "wide"], SEEDS)
    assert [(c.arm, c.seed, c.judged) for c in cells] == [
        *(("none", 0, False), ("wide", 0, False)),
        *(("none", 1, True), ("wide", 1, True), ("none", 2, True), ("wide", 2, True)),
    ]


def test_plan_some_seeds_is_part_of_the_whole():
    assert [c.folder for c in plan(["none", "wide"], SEEDS, [2])] == ["none/2", "wide/2"]


def test_time_left_is_the_arms_own_where_it_is_known():
    none, wide = (lambda seed, arm=arm: Cell(arm, seed, True) for arm in ("none", "wide"))
    cells = [none(1), wide(1), none(2), wide(2)]
    assert left_s(cells, {}) is None
    assert left_s(cells, {none(1): 10.0}) == 30.0
    assert left_s(cells, {none(1): 10.0, wide(1): 30.0}) == 40.0
