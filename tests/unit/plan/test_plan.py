"""Plans count what an enumeration would find."""

from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.spec_file import load_spec
from pipeline.plan.agenda import child_waves
from pipeline.plan.plan import make_plan
from pipeline.recipes import RECIPES
from schemas.errors import SpecError
from schemas.wave_id import WaveId
from tests.architecture.source import REPOSITORY
from tests.unit.samples import make_spec

RECIPE = RECIPES["tg-sft"]
SPECS = st.builds(
    lambda fanouts, trees, cohort, wave: make_spec(
        fanouts, trees=trees, bounds={"trees_per_cohort": cohort, "candidates_per_wave": wave}
    ),
    st.lists(st.integers(1, 5), min_size=1, max_size=4),
    st.integers(1, 9),
    st.integers(1, 4),
    st.integers(1, 30),
)


def plan_of(spec):
    recipe = RECIPES[spec.recipe]
    return make_plan(spec, recipe, recipe.num_trees(spec, len(spec.roots.topics)))


def packaged_plan(name):
    return plan_of(load_spec(str(REPOSITORY / "jobs" / "specs" / name)).generation)


@given(SPECS)
def test_every_tree_is_in_exactly_one_cohort(spec):
    plan = plan_of(spec)
    trees = [tree for cohort in range(plan.cohorts) for tree in plan.trees_of(cohort)]
    assert trees == list(range(plan.trees))


@given(SPECS)
def test_plan_counts_what_growing_everything_would_make(spec):
    plan = plan_of(spec)
    waves, parents = Counter(), Counter()
    ready = [(WaveId((c,)), len(plan.trees_of(c))) for c in range(plan.cohorts)]
    while ready:
        wave, size = ready.pop()
        rule = RECIPE.rule(spec, wave.level)
        assert size == 1 or size * rule.asked <= spec.bounds.candidates_per_wave
        waves[wave.level] += 1
        parents[wave.level] += size
        kept = size * rule.fanout if wave.level < len(spec.levels) else 0
        below = list(child_waves(spec, RECIPE, wave, kept))
        block = -(-kept // len(below)) if below else 0
        if below:
            block = max(
                1, spec.bounds.candidates_per_wave // RECIPE.rule(spec, wave.level + 1).asked
            )
        ready += [(child, min(block, kept - i * block)) for i, child in enumerate(below)]
    for row in plan.levels:
        rule = RECIPE.rule(spec, row.level)
        assert (row.waves, row.nodes) == (waves[row.level], parents[row.level] * rule.fanout)
        assert row.candidates == parents[row.level] * rule.asked
        assert row.max_tokens == row.candidates * rule.sampling.max_tokens
    assert plan.nodes_per_tree * plan.trees == sum(row.nodes for row in plan.levels)


def test_balance_tree_has_the_figures_of_the_paper():
    plan = packaged_plan("balance.yaml")
    assert (plan.nodes_per_tree, plan.leaves_per_tree) == (37_408, 32_768)
    assert [row.nodes // plan.trees for row in plan.levels] == [32, 512, 4_096, 32_768]


def test_wide_tree_is_a_hundred_trees_of_a_thousand():
    plan = packaged_plan("wide.yaml")
    assert (plan.trees, plan.levels[0].fanout) == (100, 1_000)
    assert plan.levels[0].nodes == 100_000


@pytest.mark.parametrize(("fanout", "trees"), [(1024, 1), (1026, 2), (100_000, 100), (2049, 3)])
def test_large_fanout_becomes_equal_trees(fanout, trees):
    plan = plan_of(make_spec((fanout,), trees=2))
    assert (plan.trees, plan.levels[0].fanout) == (2 * trees, fanout // trees)


@pytest.mark.parametrize("fanout", [1031, 1025, 2_000_003])
def test_fanout_that_cannot_be_shared_is_refused_with_ones_that_can(fanout):
    with pytest.raises(SpecError, match=rf"levels\.0\.fanout: {fanout} .* expected") as caught:
        plan_of(make_spec((fanout,)))
    proposed = [
        int(word.strip(".")) for word in str(caught.value).split() if word.strip(".").isdigit()
    ]
    for other in proposed[-2:]:
        assert plan_of(make_spec((other,))).levels[0].nodes == 2 * other


def test_turns_shorten_the_plan():
    full = plan_of(make_spec((2, 2, 2, 1)))
    half = plan_of(make_spec((2, 2, 2, 1), turns={1: 1, 2: 1}))
    none = plan_of(make_spec((2, 2, 2, 1), turns={1: 1}))
    assert [row.nodes for row in full.levels] == [4, 8, 16, 16]
    assert [row.nodes for row in half.levels] == [4, 8, 8, 8]
    assert [row.nodes for row in none.levels] == [4, 8, 0, 0]
    assert (full.leaves_per_tree, half.leaves_per_tree, none.leaves_per_tree) == (8, 6, 4)
    assert replace(full, levels=()) == replace(plan_of(make_spec((2, 2, 2, 1))), levels=())
