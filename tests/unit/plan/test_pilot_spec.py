"""The pilot is a smaller run of the same shape."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.spec_file import load_spec
from pipeline.plan.pilot import pilot_spec
from pipeline.plan.plan import make_plan
from pipeline.recipes import RECIPES
from tests.architecture.source import REPOSITORY
from tests.unit.samples import make_spec

RECIPE = RECIPES["tg-sft"]


def plan_of(spec):
    recipe = RECIPES[spec.recipe]
    return make_plan(spec, recipe, recipe.num_trees(spec, len(spec.roots.topics)))


def pilot_of(spec, candidates):
    return pilot_spec(spec, RECIPES[spec.recipe], plan_of(spec), candidates)


def with_oversample(fanouts, oversample, **changes):
    spec = make_spec(fanouts, **changes)
    levels = [level.model_copy(update={"oversample": oversample}) for level in spec.levels]
    return spec.model_copy(update={"levels": tuple(levels)})


SPECS = st.builds(
    lambda fanouts, oversample, trees: with_oversample(fanouts, oversample, trees=trees),
    st.lists(st.integers(1, 40), min_size=1, max_size=4),
    st.floats(1, 9),
    st.integers(1, 300),
)


def candidates(spec):
    return sum(level.candidates for level in plan_of(spec).levels)


@given(SPECS, st.integers(1, 2000))
def test_pilot_is_no_larger_than_the_run_at_any_level_and_still_branches(spec, wanted):
    real, small = plan_of(spec), plan_of(pilot_of(spec, wanted))
    assert min(2, real.trees) <= small.trees <= real.trees
    for row, level in zip(real.levels, small.levels, strict=True):
        assert min(2, row.fanout) <= level.fanout <= row.fanout
        assert level.asked_per_parent <= row.asked_per_parent
        assert level.candidates <= row.candidates
        # As many are asked for each one kept, or more.
        assert level.asked_per_parent * row.fanout >= level.fanout * row.asked_per_parent


@given(SPECS, st.integers(1, 2000))
def test_pilot_has_about_the_candidates_that_were_wanted(spec, wanted):
    size, least = candidates(pilot_of(spec, wanted)), candidates(pilot_of(spec, 1))
    assert size <= max(wanted, least)
    if wanted >= candidates(spec):
        assert pilot_of(spec, wanted) == spec


@given(SPECS, st.integers(1, 2000))
def test_pilot_changes_nothing_but_its_size(spec, wanted):
    small = pilot_of(spec, wanted)
    assert small.model_copy(update={"roots": spec.roots, "levels": spec.levels}) == spec
    assert small.roots.topics == spec.roots.topics
    for level, own in zip(spec.levels, small.levels, strict=True):
        size = {"fanout": level.fanout, "oversample": level.oversample}
        assert own.model_copy(update=size) == level


@pytest.mark.parametrize("name", ["balance.yaml", "wide.yaml", "demo.yaml", "demo-wide.yaml"])
def test_pilot_of_a_packaged_spec_says_something_of_every_level(name):
    spec = load_spec(str(REPOSITORY / "jobs" / "specs" / name)).generation
    small = plan_of(pilot_of(spec, 300))
    assert 200 <= sum(row.candidates for row in small.levels) <= 300 or pilot_of(spec, 300) == spec
    if candidates(spec) > 300:
        assert min(row.candidates for row in small.levels) >= 40


def test_pilot_of_a_large_fanout_is_of_one_of_its_trees():
    spec = make_spec((100_000, 1), trees=1)
    small = pilot_of(spec, 100)
    assert plan_of(spec).trees == 100
    assert (small.roots.trees, plan_of(small).trees) == (2, 2)


def test_pilot_asks_as_many_siblings_as_the_run_where_there_is_room():
    spec = make_spec((8, 4), trees=100)
    real, small = plan_of(spec), plan_of(pilot_of(spec, 400))
    asked = [[row.asked_per_parent for row in plan.levels] for plan in (real, small)]
    assert asked[0] == asked[1]
    assert small.levels[0].fanout < 8


def test_pilot_of_a_single_level_is_small():
    assert candidates(pilot_of(make_spec((100_000,), trees=1), 150)) == 150


def test_pilot_of_levels_that_no_dialogue_reaches_is_small():
    spec = make_spec((2, 64, 64, 64), trees=50, turns={1: 1})
    assert candidates(pilot_of(spec, 150)) <= 150
