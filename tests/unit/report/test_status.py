"""Status: sums over the ledger, and what they say about the rest."""

import pytest

from pipeline.plan.plan import make_plan
from pipeline.recipes import RECIPES
from pipeline.report.status import status_of
from schemas.execution_spec import BudgetSpec
from schemas.manifest import Counts
from tests.stored import make_manifest
from tests.unit.samples import make_spec

RECIPE = RECIPES["tg-sft"]
SPEC = make_spec((4, 2), trees=4, bounds={"trees_per_cohort": 2, "candidates_per_wave": 8})
PLAN = make_plan(SPEC, RECIPE, 4)


def wave(
    name,
    *,
    asked=8,
    kept=8,
    frontier=8,
    tokens=800,
    asides=0,
    given=0,
    at=0.0,
    attempt="a",
    **drops,
):
    counts = Counts(
        asked=asked,
        kept=kept,
        dropped=drops,
        output_tokens=tokens,
        aside_tokens=asides,
        given=given,
    )
    changes = {"started_at": at, "finished_at": at + 10, "frontier": frontier}
    return make_manifest(name, attempt, counts=counts).model_copy(update=changes)


def status(*manifests, plan=PLAN, budget=None):
    return status_of(plan, manifests, budget)


def test_status_adds_up_the_ledger():
    found = status(
        wave("000000", kept=6, frontier=6, empty=1, duplicate=1),
        wave("000000.0", kept=5, frontier=0, empty=3, at=50.0, attempt="b"),
    )
    first, second = found.levels
    assert (first.waves, first.asked, first.kept, second.kept) == (1, 8, 6, 5)
    assert found.kept == 11
    assert found.dropped == {"empty": 4, "duplicate": 1}
    assert (found.attempts, found.busy_s, found.output_tokens) == (2, 20.0, 1600)
    assert found.tokens_per_s == 80.0


def test_status_of_a_run_without_waves_is_the_plan():
    found = status()
    assert [level.expected_candidates for level in found.levels] == [16, 32]
    assert [level.expected_waves for level in found.levels] == [r.waves for r in PLAN.levels]
    assert (found.eta_s, found.tokens_per_s, found.kept) == (None, 0.0, 0)


def test_expectations_follow_what_was_kept():
    found = status(wave("000000", kept=4, frontier=4))
    assert [level.expected_candidates for level in found.levels] == [16, 16]
    assert [level.expected_waves for level in found.levels] == [2, 2]


def test_eta_is_the_rest_at_the_speed_so_far():
    first = wave("000000"), wave("000000.0", frontier=0, at=10.0)
    # 1,600 tokens in 20 s; 8 more openings and 24 more answers of 100 tokens each are left.
    assert status(*first).eta_s == pytest.approx(3200 / 80)


def test_eta_of_a_finished_run_is_nothing():
    names = ["000000", "000001"], ["000000.0", "000000.1", "000001.0", "000001.1"]
    done = [wave(name, at=10.0 * i) for i, name in enumerate(names[0])]
    done += [wave(n, frontier=0, at=20 + 10.0 * i) for i, n in enumerate(names[1])]
    found = status(*done)
    assert found.eta_s == 0
    assert [(level.waves, level.expected_waves) for level in found.levels] == [(2, 2), (4, 4)]


def test_status_of_levels_that_no_dialogue_reaches_is_zero():
    spec = make_spec((2, 1, 2, 1, 1, 1), trees=1, turns={1: 1})
    plan = make_plan(spec, RECIPE, 1)
    found = status(wave("000000", asked=2, kept=2, frontier=2), plan=plan)
    assert [level.expected_candidates for level in found.levels] == [2, 2, 0, 0, 0, 0]
    assert found.eta_s is not None and found.eta_s > 0
    assert status(plan=plan).levels[5].expected_waves == 0


def test_status_goes_on_where_nothing_was_kept():
    found = status(
        wave("000000", kept=0, frontier=0, empty=8), wave("000001", kept=0, frontier=0, empty=8)
    )
    assert [level.expected_candidates for level in found.levels] == [16, 0]
    assert found.eta_s == 0


def test_eta_is_what_the_budget_leaves_where_that_is_less():
    first = wave("000000"), wave("000000.0", frontier=0, at=10.0)
    # 16 nodes and 1,600 tokens in 20 s.
    assert status(*first, budget=BudgetSpec(nodes=24)).eta_s == pytest.approx(10)
    assert status(*first, budget=BudgetSpec(tokens=2000, nodes=24)).eta_s == pytest.approx(5)
    assert status(*first, budget=BudgetSpec(hours=30 / 3600)).eta_s == pytest.approx(10)
    assert status(*first, budget=BudgetSpec(nodes=10)).eta_s == 0
    assert status(*first, budget=BudgetSpec(nodes=10**6)).eta_s == pytest.approx(40)


def test_status_says_what_is_spent_of_each_limit():
    found = status(wave("000000", asides=100), budget=BudgetSpec(tokens=1000))
    assert found.limits == (("tokens", 900, 1000),)
    assert (found.spent.nodes, found.spent.tokens, found.spent.hours) == (8, 900, 10 / 3600)
    assert (found.output_tokens, status().limits) == (800, ())


def test_speed_counts_what_is_sampled_about_candidates():
    found = status(wave("000000", asides=160), wave("000000.0", asides=40, at=10.0))
    assert (found.output_tokens, found.aside_tokens) == (1600, 200)
    assert found.tokens_per_s == 1800 / 20


def test_expected_hours_are_those_of_all_tokens_at_the_speed_so_far():
    found = status(wave("000000"), wave("000000.0", frontier=0, at=10.0))
    # 80 tokens/s, as many again for the second half of the openings, 3,200 in all to come.
    assert found.expected_hours == pytest.approx(4800 / 80 / 3600)
    assert status().expected_hours is None


def test_expected_tokens_count_what_is_said_about_candidates():
    found = status(wave("000000", asides=160))
    first, second = found.levels
    assert first.expected_tokens == 16 * (960 / 8)
    assert second.expected_tokens == 32 * 200 / 2
    assert found.expected_tokens == first.expected_tokens + second.expected_tokens
    assert found.expected_candidates == 48


def test_status_counts_prompts_whose_reference_was_kept():
    found = status(
        wave("000000", asked=8, kept=7, given=1, empty=1),
        wave("000000.0", asked=6, kept=3, given=2, empty=3),
    )
    assert [(level.parents, level.given) for level in found.levels] == [(2, 1), (3, 2)]
