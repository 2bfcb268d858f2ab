"""A driver's share of a run: how often it is heard of, what it asks of the store, what it takes."""

import json
import logging

import pytest

from pipeline.share import Clocks, Share
from pipeline.storage.claims import read_claims, read_heartbeats, sweep_claims
from pipeline.storage.store import Store
from schemas.claim import Driver, Headway, Heartbeat
from schemas.fingerprint import canonical, digest
from tests.builders import memory_store
from tests.faulty_store import FaultyStore
from tests.processes import until

CLAIM_S = 60.0
PATIENCE_S = 60.0


class Time:
    """Passes when it is told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Crew:
    """Drivers of one run, with one clock and a store that counts."""

    def __init__(self) -> None:
        self.time, self.store = Time(), FaultyStore(memory_store())
        self.gone: set[str] = set()

    def driver(self, attempt: str) -> Share:
        me = Driver(attempt=attempt, host="h", machine="m", pid=1, claim_s=CLAIM_S)
        clocks = Clocks(day=self.time, even=self.time)
        return Share(self.store, me, lambda driver: driver.attempt in self.gone, clocks)

    def asked(self) -> list[str]:
        """What was asked of the store since the last time."""
        found = [operation.split()[0] for operation in self.store.operations]
        self.store.operations.clear()
        return found


def unknown(attempt: str) -> int:
    """As of one that was not heard of."""
    return -1


def heard(store: Store) -> dict[str, str]:
    return {h.driver.attempt: h.state for h in read_heartbeats(store, unknown)}


def test_driver_alone_asks_for_three_things_a_beat_and_for_one_a_cohort():
    crew = Crew()
    one = crew.driver("one")
    one.look()
    one.tend()
    crew.asked()
    for cohort in range(5):
        assert one.take(cohort) and one.take(cohort)
    assert crew.asked() == ["create"] * 5
    for _ in range(100):
        crew.time.now += CLAIM_S / 30
        assert not one.tend()
    # A new heartbeat, the one before deleted, and a look who else is there.
    assert sorted(crew.asked()) == sorted(["create", "delete", "list"] * 10)
    assert len(crew.store.list("drivers")) == 1


def test_what_another_driver_holds_is_not_taken_and_asked_for_once():
    crew = Crew()
    one, two = crew.driver("one"), crew.driver("two")
    one.tend()
    assert all(one.take(cohort) for cohort in range(5))
    crew.asked()
    assert not two.take(0)
    # The claim is there already and says whose it is; then all that is taken is looked at.
    assert crew.asked().count("create") == 1
    assert not any(two.take(cohort) for cohort in range(5))
    assert crew.asked() == []
    assert two.company and two.reach == 5
    assert two.take(5)


def test_silent_driver_loses_its_cohorts_and_learns_it_when_it_looks():
    crew = Crew()
    one, two = crew.driver("one"), crew.driver("two")
    one.tend()
    assert one.take(0) and one.take(1)
    two.look()
    crew.time.now += CLAIM_S - 1
    two.look()
    assert not two.take(0)
    crew.time.now += 2
    two.look()
    assert two.take(0)
    assert one.holds(0), "nobody told it yet"
    one.look()
    assert not one.holds(0) and one.holds(1)
    assert not one.take(0), "the other one lives"


def test_driver_that_is_kept_while_it_loads_does_not_lose_what_it_holds():
    store = memory_store()
    me = Driver(attempt="one", host="h", machine="m", pid=1, claim_s=0.15)
    one = Share(store, me, lambda driver: False, Clocks(day=lambda: 1000.0))
    assert one.take(0)
    with one.kept("loading"):
        until(lambda: any(h.number >= 3 for h in read_heartbeats(store, unknown)), PATIENCE_S)
        assert heard(store) == {"one": "loading"}
    one.end()
    assert heard(store) == {"one": "ended"}


@pytest.mark.parametrize("how", ["ended", "gone"])
def test_what_a_driver_left_is_free_at_once(how: str, caplog: pytest.LogCaptureFixture):
    crew = Crew()
    one, two = crew.driver("one"), crew.driver("two")
    one.tend()
    assert one.take(0) and one.take(1)
    if how == "gone":
        crew.gone.add("one")
    else:
        one.end()
    two.look()
    with caplog.at_level(logging.WARNING):
        assert two.take(0) and two.take(1)
    told = [record.getMessage() for record in caplog.records]
    assert told == (
        ["driver one on h: its process is gone; what it claimed is taken over"]
        if how == "gone"
        else []
    )
    numbers = {found.cohort: found.number for found in read_claims(crew.store, lambda cohort: -1)}
    assert numbers == {0: 1, 1: 1}


def test_of_two_that_take_over_at_once_one_does():
    crew = Crew()
    one, two, three = crew.driver("one"), crew.driver("two"), crew.driver("three")
    one.tend()
    assert one.take(0)
    one.end()
    two.look()
    three.look()
    assert two.take(0)
    assert not three.take(0)
    assert [a.driver and a.driver.attempt for a in three.awaited([0])] == ["two"]


def test_damaged_files_say_nothing_and_stop_nobody():
    crew = Crew()
    for name in ("claims/000000-0.json", "claims/x.json", "drivers/one-7.json", "drivers/a/b"):
        crew.store.create(name, b"{}")
    two = crew.driver("two")
    two.look()
    two.tend()
    assert not two.company
    assert two.take(0)
    assert two.holds(0)


def test_claims_are_not_asked_about_where_cohorts_are_whole():
    crew = Crew()
    one, two = crew.driver("one"), crew.driver("two")
    one.tend()
    assert all(one.take(cohort) for cohort in range(10))
    crew.asked()
    two.look(lambda cohort: cohort < 8)
    assert crew.asked().count("read") == 2 + 1


def test_swept_claims_are_gone_and_a_driver_that_still_claims_goes_on():
    crew = Crew()
    one, two = crew.driver("one"), crew.driver("two")
    one.tend()
    assert one.take(0)
    assert sweep_claims(crew.store) == 2
    assert crew.store.list("") == []
    assert two.take(0)


HEADWAY = Headway(
    live=2, loading=1, waiting=0, replaced=0, waves_open=3, waves=4, asked=5, failed=0
)


def test_heartbeats_say_how_the_driver_gets_on_until_it_ends():
    store, told = memory_store(), [HEADWAY]
    me = Driver(attempt="one", host="h", machine="m", pid=1, claim_s=CLAIM_S)
    clock = Time()
    one = Share(store, me, lambda driver: False, Clocks(clock, clock), lambda: told[-1])
    one.tend()
    assert [beat.headway for beat in read_heartbeats(store, unknown)] == [HEADWAY]
    told.append(HEADWAY.model_copy(update={"waves": 9, "tokens_per_s": 12.5}))
    clock.now += CLAIM_S
    one.tend()
    assert [beat.headway for beat in read_heartbeats(store, unknown)] == told[1:]
    one.end()
    [last] = read_heartbeats(store, unknown)
    assert (last.state, last.headway) == ("ended", None)


def test_heartbeats_of_older_versions_are_read():
    store = memory_store()
    me = Driver(attempt="one", host="h", machine="m", pid=1, claim_s=CLAIM_S)
    now = Heartbeat(driver=me, number=3, at=1000.0, state="growing", headway=HEADWAY)
    content = json.loads(now.to_bytes())
    del content["digest"], content["headway"]
    older = content | {"digest": digest(canonical(content))}
    store.create("drivers/one-3.json", json.dumps(older).encode())
    [found] = read_heartbeats(store, unknown)
    assert found == now.model_copy(update={"headway": None})
