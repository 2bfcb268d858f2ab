"""The agenda and the ledger together are the plan, whenever a driver stops."""

from hypothesis import given
from hypothesis import strategies as st

from pipeline.plan.agenda import Agenda, planned_waves
from pipeline.plan.plan import make_plan, parents_per_wave
from pipeline.recipes import RECIPES
from pipeline.storage.names import check_name
from schemas.generation_spec import MAX_LEVELS
from schemas.wave_id import WaveId
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


@given(
    widening=st.dictionaries(st.integers(0, MAX_LEVELS - 1), st.sampled_from((10, 11, 100))),
    asking=st.sampled_from((1.0, 11.0, 64.0)),
    candidates=st.sampled_from((1, 11, 1001, 2048, 2**31 - 1)),
)
def test_the_deepest_wave_has_a_name_that_file_systems_take(widening, asking, candidates):
    """Whatever multiplies: each level's last whole wave, where all is kept."""
    fanouts, nodes = [1] * MAX_LEVELS, 1
    for level, fanout in widening.items():
        if nodes * fanout * 64 <= 10**14:
            fanouts[level], nodes = fanout, nodes * fanout
    spec = make_spec(
        fanouts,
        bounds={"trees_per_cohort": 2**31 - 1, "candidates_per_wave": candidates},
        levels=[
            {
                "role": ("user", "assistant")[index % 2],
                "fanout": fanout,
                "oversample": asking if index in widening else 1,
                "max_tokens": 1,
            }
            for index, fanout in enumerate(fanouts)
        ],
    )
    wave, parents = WaveId((2**31 - 2,)), parents_per_wave(spec, RECIPE, 1)
    for level in range(1, MAX_LEVELS):
        frontier, per_wave = parents * fanouts[level - 1], parents_per_wave(spec, RECIPE, level + 1)
        wave = wave.block(-(-frontier // per_wave) - 1)
        parents = min(frontier, per_wave)
    assert wave.level == MAX_LEVELS
    check_name(f"nodes/{wave.name}-01234567.parquet")
    check_name(f"ledger/{wave.name}-{2**31 - 1}.json")
