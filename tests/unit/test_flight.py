"""The waves in flight: every outcome is booked once, and waves leave when they are whole."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.flight import Flight, OpenWave, Pace
from pipeline.tree.expand import expand
from schemas.errors import PoolError
from schemas.records import Failure
from schemas.wave_id import WaveId
from tests.unit.samples import answer, make_run, make_spec, plant_some

RUN = make_run(make_spec((3, 1), trees=4))
RULE = RUN.recipe.rule(RUN.spec, 1)


def open_waves():
    """A flight of two waves with two parents each, and the outcomes that they wait for."""
    flight, outcomes = Flight(), []
    for cohort in (0, 1):
        parents = plant_some(RUN, (2 * cohort, 2 * cohort + 1))
        requests = expand(RUN, f"{cohort:06d}", parents, RULE)
        flight.open(OpenWave(WaveId((cohort,)), RULE, parents, requests, 0.0))
        outcomes += answer(requests, fail_share=0.2)
    return flight, outcomes


NUM_OUTCOMES = len(open_waves()[1])


@given(st.permutations(range(NUM_OUTCOMES)), st.integers(1, NUM_OUTCOMES))
def test_waves_leave_once_whole_in_whatever_portions_outcomes_come(order, portion):
    flight, outcomes = open_waves()
    shuffled, left = [outcomes[i] for i in order], []
    for start in range(0, len(shuffled), portion):
        whole = flight.settle(shuffled[start : start + portion])
        assert [w.wave for w in whole] == sorted(w.wave for w in whole)
        assert flight.pending == max(0, len(shuffled) - start - portion)
        for opened in whole:
            flight.close(opened)
        left += whole
    assert sorted(wave.wave for wave in left) == [WaveId((0,)), WaveId((1,))]
    assert all(set(w.outcomes) == {k for r in w.requests for k in r.keys} for w in left)
    assert flight.waves == 0
    failed = sum(isinstance(outcome, Failure) for outcome in outcomes)
    assert (flight.answered, flight.failed) == (len(outcomes), failed)


def test_a_doubled_outcome_is_the_pools_defect():
    flight, outcomes = open_waves()
    flight.settle(outcomes[:1])
    with pytest.raises(PoolError, match=outcomes[0].key.parent_id):
        flight.settle(outcomes[:1])


def test_an_outcome_of_a_wave_that_left_is_the_pools_defect():
    flight, outcomes = open_waves()
    for opened in flight.settle(outcomes):
        flight.close(opened)
    with pytest.raises(PoolError, match="resumable"):
        flight.settle(outcomes[-1:])


@given(st.integers(1, 8), st.integers(1, 64), st.integers(0, 40), st.integers(0, 2000))
def test_pace_never_lets_an_engine_run_dry_and_honours_its_bound(engines, lease, waves, pending):
    free = Pace(engines, lease, 0, 1.0).has_room(waves, pending)
    assert free or (waves >= 2 * engines and pending >= 2 * engines * lease)
    assert free or waves > 0
    behind = Pace(engines, lease, 0, 1.0).has_room(
        waves + 2 * engines, pending, measuring=2 * engines
    )
    assert not behind
    few = Pace(engines, lease, 0, 1.0).has_room(waves + 1, pending, measuring=1)
    assert few == (free and 2 * engines > 1)
    bounded = Pace(engines, lease, 0, 1.0, waves=3).has_room(waves, pending)
    assert bounded == (free and waves < 3)
    alone = Pace(8 * engines, lease, 0, 1.0).has_room(waves, pending, live=engines)
    assert alone == free
    assert Pace(engines, lease, 0, 1.0).has_room(0, 0, live=0)
