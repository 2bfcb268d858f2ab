"""Who is taken for dead: never one that keeps its promise, and everybody who does not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.claims.drivers import ENDED, SKEW_S, Drivers, Now
from schemas.claim import Claim, Driver, Heartbeat, State

CLAIM_S = 60.0
START = Now(1000.0, 1.7e9)


def driver(attempt: str = "a", claim_s: float = CLAIM_S) -> Driver:
    return Driver(attempt=attempt, host="h", machine="m", pid=1, claim_s=claim_s)


def beat(number: int, at: float, state: State = "growing", claim_s: float = CLAIM_S) -> Heartbeat:
    return Heartbeat(driver=driver(claim_s=claim_s), number=number, at=at, state=state)


def later(seconds: float, day_jumps: float = 0.0) -> Now:
    return Now(START.even + seconds, START.day + seconds + day_jumps)


def here(gone: bool = False) -> Drivers:
    return Drivers(lambda driver: gone)


@given(
    pauses=st.lists(st.floats(0, CLAIM_S / 3), min_size=1, max_size=20),
    delays=st.lists(st.floats(0, CLAIM_S / 2), min_size=20, max_size=20),
    skew=st.floats(-10 * SKEW_S, SKEW_S),
)
def test_driver_that_beats_in_time_never_dies_whatever_its_clock_says(pauses, delays, skew):
    """Each heartbeat is seen with a delay of its own; between two of them the observer asks."""
    drivers, at, seen_at = here(), 0.0, 0.0
    drivers.hear(beat(0, START.day - skew), START)
    for number, (pause, delay) in enumerate(zip(pauses, delays, strict=False), start=1):
        at += pause
        before, seen_at = seen_at, max(seen_at, at + delay)
        for share in (0.5, 1.0):
            now = later(before + share * (seen_at - before))
            assert drivers.death("a", now) is None
        drivers.hear(beat(number, START.day + at - skew), later(seen_at))
        assert drivers.living(later(seen_at)) == {"a"}


@given(
    beats=st.integers(1, 5),
    silence=st.floats(CLAIM_S * 1.001, 1e6),
    skew=st.floats(-1e9, 1e9),
    jump=st.floats(-1e8, 1e8),
)
def test_driver_that_keeps_silent_dies_whatever_clocks_say(beats, silence, skew, jump):
    drivers = here()
    for number in range(beats):
        drivers.hear(beat(number, max(0.0, START.day + skew)), later(number))
    now = later(beats - 1 + silence, day_jumps=jump)
    assert drivers.death("a", now) is not None
    assert drivers.living(now) == frozenset()


@given(st.permutations(range(6)), st.floats(0, CLAIM_S / 6))
def test_heartbeat_older_than_the_last_one_says_nothing(order, apart):
    drivers = here()
    for place, number in enumerate(order):
        drivers.hear(beat(number, START.day), later(place * apart))
    last = order.index(5) * apart
    assert drivers.number_of("a") == 5
    assert drivers.death("a", later(last + CLAIM_S - 1)) is None
    assert drivers.death("a", later(last + CLAIM_S + 1)) is not None


def test_driver_that_ended_is_dead_at_once():
    drivers = here()
    drivers.hear(beat(0, START.day), START)
    drivers.hear(beat(1, START.day, "ended"), START)
    assert drivers.death("a", START) == ENDED


def test_driver_whose_process_is_gone_is_dead_at_once():
    drivers = here(gone=True)
    drivers.hear(beat(0, START.day), START)
    assert drivers.death("a", START) == "its process is gone"


@pytest.mark.parametrize(("age", "dead"), [(0, False), (SKEW_S, False), (2 * SKEW_S, True)])
def test_sign_that_is_older_than_clocks_differ_is_that_of_a_dead_driver(age, dead):
    """So whoever comes a day later does not wait."""
    drivers = here()
    drivers.hear(beat(7, START.day - age), START)
    assert (drivers.death("a", START) is not None) == dead


def test_driver_is_held_to_its_own_promise():
    drivers = here()
    drivers.hear(beat(0, START.day, claim_s=3600), START)
    assert drivers.death("a", later(3000)) is None
    assert drivers.death("a", later(3601)) is not None


def test_claim_tells_of_a_driver_that_was_not_heard_of():
    drivers = here()
    assert drivers.death("a", START) is not None
    claim = Claim(cohort=0, number=0, driver=driver(), made_at=START.day)
    drivers.meet(claim, START)
    assert drivers.death("a", later(CLAIM_S - 1)) is None
    assert drivers.patience_s("a", later(CLAIM_S - 1)) == pytest.approx(1)
    drivers.meet(claim, later(CLAIM_S))
    assert drivers.death("a", later(CLAIM_S + 1)) is not None
