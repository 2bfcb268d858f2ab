"""Whole runs under schedules of faults, several attempts each; not one row is lost or doubled.

`CHAOS_SEED=n` replays one schedule, `CHAOS_RUNS=n` runs so many new ones, `make chaos` goes on.
"""

import os
import sys

import pytest

from schemas.errors import ArboristError
from tests.builders import memory_store
from tests.chaos.attempts import Score
from tests.chaos.campaign import figures, report, seeds, table, try_seed
from tests.chaos.proof import Broken, prove, prove_on
from tests.chaos.schedule import Fault, Schedule, draw, without_some

RUNS = 30
AS_LONG_AS_IT_TAKES = 0 if "CHAOS_RUNS" in os.environ else 600


@pytest.mark.timeout(AS_LONG_AS_IT_TAKES)
def test_generate_any_schedule_of_faults_costs_no_row(capsys: pytest.CaptureFixture[str]):
    score = Score()
    try:
        for seed in seeds(RUNS):
            try_seed(seed, score)
    finally:
        report(figures(score))
        with capsys.disabled():
            if score.schedules > RUNS:
                sys.stdout.write(f"\n{table(figures(score))}\n")
    assert (score.lost, score.doubled) == (0, 0)
    assert score.injected.total() > score.schedules


def test_generate_worker_processes_killed_rows_are_whole():
    """Two processes a turn cost seconds, so they have one schedule."""
    faults = tuple(Fault(turn, 0, "workers", "killed", at, 0) for turn, at in ((0, 1), (1, 2)))
    stop = Fault(0, 0, "driver", "told to abandon", 8, 0)
    score = Score()
    prove(Schedule(0, "small", True, "memory", (1, 1), 1, 2, 2, 1, (*faults, stop)), score)
    assert score.injected["workers killed"] == 2


def test_schedule_of_a_seed_is_always_the_same():
    assert draw(7) == draw(7) != draw(8)


def test_schedule_that_fails_is_cut_to_the_faults_that_matter():
    schedule = next(s for s in map(draw, range(100)) if len(s.faults) > 9)
    culprits = {schedule.faults[2], schedule.faults[7]}
    smallest = without_some(schedule, lambda some: culprits <= set(some.faults), float("inf"))
    assert set(smallest.faults) == culprits


class Forgetful:
    """A store that breaks its promise: some shards that it took are not there, or are others."""

    def __init__(self, kind: str) -> None:
        self._store, self._kind, self._shards = memory_store(), kind, 0
        self.location = self._store.location
        self.read, self.list = self._store.read, self._store.list
        self.delete = self._store.delete

    def create(self, name: str, payload: bytes) -> None:
        if name.startswith("nodes/"):
            self._shards += 1
            if self._shards % 4 == 0 and self._kind == "forgets":
                return
            if self._shards % 4 == 0 and self._kind == "cuts":
                payload = payload[:-1]
        if name.startswith("ledger/") and self._kind == "overwrites":
            self._store.delete(name)
        self._store.create(name, payload)


@pytest.mark.parametrize("kind", ["forgets", "cuts", "overwrites"])
def test_proof_breaks_on_a_store_that_keeps_no_promise(kind: str):
    """Even without a fault; where manifests are overwritten, it takes drivers beside each other."""
    drivers = (3, 3) if kind == "overwrites" else (1,)
    slow = tuple(Fault(0, n, "store", "delayed", at, 0) for n in range(3) for at in range(9, 40, 3))
    schedule = Schedule(0, "mixed", False, "memory", drivers, 1, 4, 2, 0, slow)
    with pytest.raises((Broken, ArboristError)):
        prove_on(schedule, Forgetful(kind), Score())
