"""The agenda and the ledger together are the plan, whenever a driver stops."""

from hypothesis import given
from hypothesis import strategies as st

from pipeline.plan.agenda import Agenda, planned_waves
from pipeline.plan.plan import make_plan
from pipeline.recipes import RECIPES
from tests.unit.samples import make_spec

RECIPE = RECIPES["tg-sft"]
SPEC = make_spec((2, 2, 2), trees=4, bounds={"trees_per_cohort": 1, "candidates_per_wave": 4})
PLAN = make_plan(SPEC, RECIPE, 4)


def frontier_of(wave, seed):
    """How many nodes a wave leaves to expand: any number, but the same on every attempt."""
    return 0 if wave.level == 3 else hash((wave.path, seed)) % 6


def work(agenda, seed, steps=10**6):
    done = []
    while len(done) < steps and (wave := agenda.next()) is not None:
        done.append(wave)
        agenda.commit(wave, frontier_of(wave, seed))
    return done


def agenda_after(committed):
    return Agenda(SPEC, RECIPE, PLAN, committed)


def ledger_of(waves, seed):
    return {wave.name: frontier_of(wave, seed) for wave in waves}


@given(st.integers(), st.integers(0, 30))
def test_a_resumed_agenda_is_what_was_left(seed, steps):
    whole = work(agenda_after({}), seed)
    done = work(agenda_after({}), seed, steps)
    left = work(agenda_after(ledger_of(done, seed)), seed)
    assert len(set(whole)) == len(whole)
    assert done + left == whole


@given(st.integers(), st.data())
def test_an_agenda_resumes_from_any_set_of_committed_waves(seed, data):
    whole = work(agenda_after({}), seed)
    done = []
    for wave in whole:
        if (wave.parent is None or wave.parent in done) and data.draw(st.booleans()):
            done.append(wave)
    left = work(agenda_after(ledger_of(done, seed)), seed)
    assert sorted(done + left) == sorted(whole)
    for index, wave in enumerate(left):
        assert wave.parent is None or wave.parent in [*done, *left[:index]]


@given(st.integers(), st.data())
def test_the_oldest_cohort_comes_first_and_in_it_the_deepest_wave(seed, data):
    agenda, ready, admitted = agenda_after({}), [], 0
    opened = []
    while (wave := agenda.next()) is not None:
        if wave.level == 1:
            assert not ready and wave.cohort == admitted
            admitted += 1
        else:
            assert wave == min(ready, key=lambda w: (w.cohort, -w.level, w))
            ready.remove(wave)
        opened.append(wave)
        for _ in range(data.draw(st.integers(0, len(opened)))):
            finished = opened.pop(0)
            count = frontier_of(finished, seed)
            agenda.commit(finished, count)
            ready += [finished.block(i) for i in range(-(-count // 2))]


@given(st.integers(), st.integers(0, 30))
def test_planned_waves_say_which_are_committed(seed, steps):
    done = work(agenda_after({}), seed, steps)
    listed = list(planned_waves(SPEC, RECIPE, PLAN, ledger_of(done, seed)))
    waves = [wave for wave, _ in listed]
    assert sorted(wave for wave, committed in listed if committed) == sorted(done)
    assert len(set(waves)) == len(waves)
    assert waves == sorted(waves)
    frontier = {w for w, committed in listed if not committed}
    assert frontier <= set(work(agenda_after(ledger_of(done, seed)), seed))
