"""Who works on a run, as `status` has it."""

import pytest

from pipeline.claims.drivers import SKEW_S
from pipeline.report.drivers import DriverStatus, drivers_of
from pipeline.storage.claims import create_claim, create_heartbeat
from pipeline.storage.store import Store
from schemas.claim import Claim, Driver, Heartbeat, State
from tests.builders import memory_store

NOW = 1.7e9
CLAIM_S = 60.0


def driver(attempt: str) -> Driver:
    return Driver(attempt=attempt, host="h", machine="m", pid=1, claim_s=CLAIM_S)


def heard(store: Store, attempt: str, state: State, ago_s: float = 1.0) -> None:
    create_heartbeat(
        store, Heartbeat(driver=driver(attempt), number=0, at=NOW - ago_s, state=state)
    )


def claimed(store: Store, attempt: str, cohort: int, number: int = 0) -> None:
    claim = Claim(cohort=cohort, number=number, driver=driver(attempt), made_at=NOW - 5)
    create_claim(store, claim)


def seen(store: Store, whole: tuple[int, ...] = (), gone: str = "") -> tuple[DriverStatus, ...]:
    return drivers_of(
        store, lambda cohort: cohort in whole, lambda driver: driver.attempt == gone, NOW
    )


def test_drivers_have_the_cohorts_that_they_claimed_last_and_did_not_finish():
    store = memory_store()
    for attempt in ("b", "a"):
        heard(store, attempt, "growing")
    for cohort in range(4):
        claimed(store, "a", cohort)
    claimed(store, "b", 2, number=1)
    claimed(store, "b", 4)
    found = [(one.driver.attempt, one.state, one.cohorts) for one in seen(store, whole=(0,))]
    assert found == [("a", "growing", (1, 3)), ("b", "growing", (2, 4))]


@pytest.mark.parametrize(
    ("said", "ago_s", "gone", "state"),
    [
        ("waiting", 1.0, "", "waiting"),
        ("growing", CLAIM_S + 1, "", "growing"),
        ("growing", CLAIM_S + SKEW_S + 1, "", "silent"),
        ("growing", 1.0, "a", "gone"),
        ("ended", 1e6, "a", "ended"),
    ],
)
def test_driver_is_as_it_said_unless_it_cannot_be(said: State, ago_s: float, gone: str, state: str):
    store = memory_store()
    heard(store, "a", said, ago_s)
    claimed(store, "a", 0)
    [one] = seen(store, gone=gone)
    assert (one.state, one.heard_s, one.cohorts) == (state, ago_s, (0,))


@pytest.mark.parametrize(("said", "gone"), [("ended", ""), ("growing", "a")])
def test_driver_that_is_over_and_left_nothing_is_not_told_of(said: State, gone: str):
    store = memory_store()
    heard(store, "a", said)
    claimed(store, "a", 0)
    assert seen(store, whole=(0,), gone=gone) == ()


def test_driver_that_was_not_heard_of_has_its_claims():
    store = memory_store()
    claimed(store, "a", 3)
    [one] = seen(store)
    assert (one.state, one.heard_s, one.cohorts) == ("claimed", 5.0, (3,))
