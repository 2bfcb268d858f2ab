"""Estimates: right on average, and as sure of it as they say."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.plan.beliefs import Family, Likeness, kept_belief, likeness_of, token_belief
from pipeline.plan.estimate import Machines, Pilot, Target, estimate
from pipeline.plan.pilot import pilot_spec
from pipeline.plan.plan import make_plan
from pipeline.recipes import RECIPES
from schemas.estimate import Estimate
from tests.unit.samples import make_spec

RECIPE = RECIPES["tg-sft"]
MACHINES = Machines(engines={"main": 8}, gpus=8.0, price=2.5)
MAIN = {level: {"main": 1} for level in range(1, 5)}
"""All is written by one group of engines."""


def plan_of(spec):
    return make_plan(spec, RECIPE, spec.roots.trees)


def oversampled(fanouts, oversample, **changes):
    spec = make_spec(fanouts, **changes)
    levels = [level.model_copy(update={"oversample": oversample}) for level in spec.levels]
    return spec.model_copy(update={"levels": tuple(levels)})


class World:
    """Where each child passes by chance, more easily below some parents than below others."""

    def __init__(self, seed, spread=0.15):
        self._rng, self._spread = np.random.default_rng(seed), spread

    def grow(self, spec):
        """The families of a whole run by level, and what became of it."""
        plan, families, sums = plan_of(spec), {}, np.zeros(3)
        parents = [(tree, 0.0) for tree in range(plan.trees)]
        for row in plan.levels:
            families[row.level], below = [], []
            for tree, opening in parents:
                family = self._family(tree, row.asked_per_parent)
                kept = min(row.fanout, family.passed)
                families[row.level].append(family)
                sums += [family.asked, kept, family.tokens]
                for _ in range(kept):
                    draw = self._rng.random() if row.level == 1 else opening
                    if RECIPE.expands(spec, draw, row.level):
                        below.append((tree, draw))
            parents = below
        return families, sums

    def _family(self, tree, asked):
        chance = np.clip(0.6 + self._spread * self._rng.standard_normal(), 0, 1)
        passed = int(self._rng.binomial(asked, chance))
        lengths = np.clip(self._rng.lognormal(4, 0.5, asked), 1, 200).round()
        return Family(tree, asked, passed, int(lengths.sum()), float((lengths**2).sum()))


def foretold(spec, world, nodes):
    small = pilot_spec(spec, RECIPE, plan_of(spec), nodes)
    families, _ = world.grow(small)
    pilot = Pilot("pilot", small, plan_of(small), families, MAIN, {"main": 1000.0})
    return estimate(Target("real", spec, RECIPE, plan_of(spec)), pilot, MACHINES)


@pytest.mark.parametrize(
    ("spec", "nodes"),
    [
        (oversampled((4, 3, 3, 2), 1.5, trees=30), 300),
        (oversampled((4, 3, 3, 2), 1.5, trees=30, turns={1: 1, 2: 1}), 300),
        (oversampled((30, 4, 2, 2), 2.0, trees=6), 300),
        (oversampled((8, 1), 1.0, trees=200), 150),
    ],
    ids=["four levels", "two lengths", "many siblings", "two levels"],
)
def test_nine_of_ten_runs_lie_in_their_interval(spec, nodes):
    hits, errors, worlds = np.zeros(3), [], 40
    for seed in range(worlds):
        world = World(seed)
        found = foretold(spec, world, nodes)
        _, real = world.grow(spec)
        ranges = (found.candidates, found.kept, found.tokens)
        hits += [r.low <= value <= r.high for r, value in zip(ranges, real, strict=True)]
        errors.append([r.value / value - 1 for r, value in zip(ranges, real, strict=True)])
    # Of 40 at nine in ten, fewer than 30 are seen once in 600 times.
    assert (hits >= 30).all(), hits
    assert np.abs(np.mean(errors, axis=0)).max() < 0.08


def test_interval_is_not_just_wide():
    spec = oversampled((4, 3), 1.5, trees=500)
    found = foretold(spec, World(0), 2000)
    assert found.kept.high - found.kept.low < 0.2 * found.kept.value
    assert found.tokens.high - found.tokens.low < 0.2 * found.tokens.value


def test_same_pilot_says_the_same_again():
    spec = oversampled((4, 3), 1.5, trees=50)
    first, again = (foretold(spec, World(3), 200) for _ in range(2))
    assert first == again
    assert Estimate.from_bytes(first.to_bytes(), name="x") == first


def test_hours_and_cost_follow_from_tokens():
    found = foretold(oversampled((4, 3), 1.5, trees=50), World(1), 200)
    assert found.hours.value == pytest.approx(found.tokens.value / 8000 / 3600)
    assert found.gpu_hours.high == pytest.approx(8 * found.hours.high)
    assert found.cost is not None
    assert found.cost.low == pytest.approx(2.5 * found.gpu_hours.low)


def with_second_engines(sampled, speeds):
    """The estimate of a run whose second level another group of engines writes."""
    spec = oversampled((4, 3), 1.5, trees=50)
    levels = [spec.levels[0], spec.levels[1].model_copy(update={"engine": "second"})]
    spec = spec.model_copy(update={"levels": tuple(levels)})
    small = pilot_spec(spec, RECIPE, plan_of(spec), 200)
    pilot = Pilot("pilot", small, plan_of(small), World(1).grow(small)[0], sampled, speeds)
    machines = Machines({"main": 1, "second": 2}, 3.0, None)
    return estimate(Target("real", spec, RECIPE, plan_of(spec)), pilot, machines)


def test_groups_of_engines_work_side_by_side():
    sampled = {1: {"main": 5}, 2: {"second": 7}}
    found = with_second_engines(sampled, {"main": 1000.0, "second": 10.0})
    assert found.hours.value == pytest.approx(found.levels[1].tokens.value / 20 / 3600)
    assert found.gpu_hours.value == pytest.approx(3 * found.hours.value)
    assert found.cost is None


def test_group_that_writes_a_part_of_a_level_takes_time_for_that_part():
    sampled = {1: {"main": 3, "second": 1}, 2: {"second": 7}}
    found = with_second_engines(sampled, {"main": 1e6, "second": 10.0})
    tokens = found.levels[0].tokens.value / 4 + found.levels[1].tokens.value
    assert found.hours.value == pytest.approx(tokens / 20 / 3600)
    assert any("`main`, `second`: in the pilot they waited" in said for said in found.unknown)


def test_group_without_a_speed_is_left_out_and_that_is_said():
    found = with_second_engines({1: {"main": 5}}, {"main": 1000.0})
    assert found.hours.value == pytest.approx(found.levels[0].tokens.value / 1000 / 3600)
    assert any(said.startswith("engines `second`") for said in found.unknown)


def test_levels_share_hours_and_cost_by_their_tokens():
    found = foretold(oversampled((4, 3), 1.5, trees=50), World(1), 200)
    assert found.cost is not None
    for level in found.levels:
        assert level.cost is not None
        assert level.hours.value == pytest.approx(level.tokens.value / 8000 / 3600)
        assert level.hours.high == pytest.approx(level.tokens.high / 8000 / 3600)
        assert level.cost.high == pytest.approx(2.5 * 8 * level.hours.high)
    two = with_second_engines({1: {"main": 5}, 2: {"second": 7}}, {"main": 10.0, "second": 10.0})
    for one in (found, two):
        assert one.hours.low < one.hours.value < one.hours.high
        assert sum(level.hours.value for level in one.levels) == pytest.approx(one.hours.value)


def test_first_level_is_known_and_unknown_things_are_said():
    spec = oversampled((40, 3), 2.0, trees=40, bounds={"trees_per_cohort": 8})
    found = foretold(spec, World(2), 200)
    assert found.levels[0].candidates.low == found.levels[0].candidates.high == 40 * 80
    said = " ".join(found.unknown)
    assert "of 80 siblings" in said and "over 8;" in said and "of 40 trees" in said
    assert "starting engines is left out" in said


def test_level_that_the_pilot_did_not_reach_is_said_to_be_a_guess():
    spec = oversampled((4, 3), 1.0, trees=40)
    small = pilot_spec(spec, RECIPE, plan_of(spec), 100)
    families = {1: [Family(tree, 4, 0, 10, 30.0) for tree in range(20)]}
    pilot = Pilot("pilot", small, plan_of(small), families, {1: {"main": 10}}, {"main": 1000.0})
    found = estimate(Target("real", spec, RECIPE, plan_of(spec)), pilot, MACHINES)
    assert found.levels[1].candidates.value == 0
    assert found.levels[1].candidates.high > 0, "that none passed may have been chance"
    assert any("level 2" in said and "guesses" in said for said in found.unknown)


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 6)), min_size=1, max_size=40))
def test_beliefs_are_means_with_errors_that_are_never_nothing(drawn):
    [row] = plan_of(make_spec((4,), trees=2)).levels
    families = [Family(t, 6, p, 60 * p, 600.0 * p * p) for t, p in drawn]
    kept = kept_belief(row, families, Likeness())
    assert kept.mean == pytest.approx(np.mean([min(4, p) for _, p in drawn]))
    assert 0 < kept.error < 7 and kept.spread > 0
    tokens = token_belief(200.0, families, Likeness())
    assert tokens.mean == pytest.approx(np.mean([10 * p for _, p in drawn]))
    assert tokens.error >= 0


def test_likeness_is_how_far_parents_differ():
    for spread in (0.0, 0.1, 0.2):
        world = World(5, spread)
        found = likeness_of([[world._family(tree, 12) for tree in range(2000)]])
        assert found.chance == pytest.approx(spread, abs=0.05)
        assert found.length == pytest.approx(0, abs=0.05)


def test_parents_that_differ_elsewhere_make_one_parent_less_sure():
    [row] = plan_of(make_spec((6,), trees=1)).levels
    alone = [Family(0, 6, 3, 60, 600.0)]
    sure = kept_belief(row, alone, Likeness())
    unsure = kept_belief(row, alone, Likeness(chance=0.3))
    assert unsure.mean == sure.mean and unsure.error > 1.2 * sure.error
    assert (
        token_belief(99, alone, Likeness(length=0.5)).error
        > token_belief(99, alone, Likeness()).error
    )
