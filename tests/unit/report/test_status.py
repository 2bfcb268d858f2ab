"""Status: sums over the ledger, and what they say about the rest."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.plan.plan import make_plan
from pipeline.recipes import RECIPES
from pipeline.report.status import BusyTime, status_of
from schemas.manifest import Counts
from tests.stored import make_manifest
from tests.unit.samples import make_spec

RECIPE = RECIPES["tg-sft"]
SPEC = make_spec((4, 2), trees=4, bounds={"trees_per_cohort": 2, "candidates_per_wave": 8})


def wave(name, *, asked=8, kept=8, frontier=8, tokens=800, at=0.0, attempt="a", **dropped):
    counts = Counts(asked=asked, kept=kept, dropped=dropped, output_tokens=tokens)
    changes = {"started_at": at, "finished_at": at + 10, "frontier": frontier}
    return make_manifest(name, attempt, counts=counts).model_copy(update=changes)


def status(*manifests, spec=SPEC):
    return status_of(spec, RECIPE, manifests)


def busy_time(intervals):
    busy = BusyTime()
    for start, stop in intervals:
        busy.add(start, stop)
    return busy.total


INTERVALS = st.lists(
    st.tuples(st.integers(0, 60), st.integers(0, 20)).map(lambda p: (p[0], p[0] + p[1]))
)


@given(INTERVALS)
def test_busy_time_is_the_length_of_the_union(intervals):
    covered = {second for start, stop in intervals for second in range(start, stop)}
    assert busy_time(intervals) == len(covered)


@given(INTERVALS, st.randoms())
def test_busy_time_does_not_depend_on_order(intervals, random):
    shuffled = random.sample(intervals, len(intervals))
    assert busy_time(shuffled) == busy_time(intervals)


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
    found, plan = status(), make_plan(SPEC, RECIPE)
    assert [level.expected_candidates for level in found.levels] == [16, 32]
    assert [level.expected_waves for level in found.levels] == [r.waves for r in plan.levels]
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
    found = status(wave("000000", asked=2, kept=2, frontier=2), spec=spec)
    assert [level.expected_candidates for level in found.levels] == [2, 2, 0, 0, 0, 0]
    assert found.eta_s is not None and found.eta_s > 0
    assert status(spec=spec).levels[5].expected_waves == 0


def test_status_goes_on_where_nothing_was_kept():
    found = status(
        wave("000000", kept=0, frontier=0, empty=8), wave("000001", kept=0, frontier=0, empty=8)
    )
    assert [level.expected_candidates for level in found.levels] == [16, 0]
    assert found.eta_s == 0
