"""Whole runs under schedules of faults, several attempts each; not one row is lost or doubled.

`CHAOS_SEED=n` replays one schedule, `CHAOS_RUNS=n` runs so many new ones, `make chaos` goes on.
"""

import os
import sys
from collections import Counter

import pytest

from pipeline.pool.pool import Pool
from schemas.errors import ArboristError, CorruptData, NoEngine, PoolError, StoreError
from schemas.records import Outcome
from tests.builders import memory_store
from tests.chaos import attempts
from tests.chaos.attempts import Score, Try
from tests.chaos.campaign import figures, report, seeds, table, try_seed
from tests.chaos.faulty_hands import CountedPool
from tests.chaos.permitted import ENDS, is_permitted
from tests.chaos.proof import Broken, prove, prove_on
from tests.chaos.schedule import ACTS, KINDS, Act, Fault, Schedule, draw, without_some

RUNS = 30
AS_LONG_AS_IT_TAKES = 0 if "CHAOS_RUNS" in os.environ else 600
AT_WILL = not {"CHAOS_SEED", "CHAOS_RUNS"}.isdisjoint(os.environ)


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
    # One seed alone may hold no fault.
    if not AT_WILL:
        assert score.injected.total() > score.schedules


def test_generate_worker_processes_killed_rows_are_whole():
    """Two processes a turn cost seconds, so they have one schedule."""
    faults = tuple(Fault(turn, 0, "workers", "killed", at, 0) for turn, at in ((0, 1), (1, 2)))
    stop = Fault(0, 0, "driver", "told to abandon", 8, 0)
    score = Score()
    prove(Schedule(0, "small", True, "memory", (1, 1), 1, 2, 2, 1, (*faults, stop)), score)
    assert score.injected["workers killed"] == 2


def test_run_damaged_in_every_way_and_refined_is_whole_in_the_end():
    acts = tuple(Act(turn, kind, False, (0, 0, 0), turn) for turn, kind in enumerate(ACTS, 1))
    beside = Act(len(ACTS) + 1, "shard gone", True, (0, 4, 8), 0)
    drivers, score = (1,) * (len(ACTS) + 2), Score()
    prove(Schedule(0, "small", True, "file", drivers, 1, 4, 2, 0, (), (*acts, beside)), score)
    assert score.acts == Counter([*ACTS, beside.kind])


# Of the files that there are, these seeds take a shard of kept rows and the refined snapshot.
@pytest.mark.parametrize(("kind", "seed"), [("shard gone", 5), ("snapshot changed", 0)])
def test_run_damaged_after_a_withdrawal_is_repaired_and_it_stays_withdrawn(kind: str, seed: int):
    withdrawal = Act(1, "refined with a withdrawal", False, (0, 0, 0), 3)
    damage = Act(2, kind, False, (0, 0, 0), seed)
    prove(Schedule(0, "small", True, "memory", (1, 1), 1, 4, 2, 0, (), (withdrawal, damage)))


def test_run_refined_while_it_was_partial_stays_refined():
    budget = Fault(0, 0, "driver", "budget", 1, 0)
    withdrawal, score = Act(1, "refined with a withdrawal", False, (0, 0, 0), 0), Score()
    schedule = Schedule(0, "cohorts", True, "memory", (1,), 1, 4, 2, 0, (budget,), (withdrawal,))
    prove(schedule, score)
    assert score.acts == {withdrawal.kind: 1}


def test_schedule_of_a_seed_is_always_the_same():
    assert draw(7) == draw(7) != draw(8)


def test_schedule_that_fails_is_cut_to_the_faults_that_matter():
    schedule = next(s for s in map(draw, range(100)) if len(s.faults) > 9)
    culprits = {schedule.faults[2], schedule.faults[7]}
    smallest = without_some(schedule, lambda some: culprits <= set(some.faults), float("inf"))
    assert set(smallest.faults) == culprits


class Forgetful:
    """A store that breaks its promise: some shards that it took are not there, or are others, or
    that fails where nothing but delays were planned."""

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
            if self._shards in (4, 5) and self._kind == "fails for a while":
                raise StoreError("as nobody planned")
        if name.startswith("repairs/") and self._kind == "forgets repairs":
            return
        if name.startswith(("ledger/", "claims/")) and self._kind == "overwrites":
            self._store.delete(name)
        self._store.create(name, payload)


@pytest.mark.parametrize("kind", ["forgets", "cuts", "overwrites", "fails for a while"])
def test_proof_breaks_on_a_store_that_keeps_no_promise(kind: str):
    """Even without a fault; where files are overwritten, it takes drivers beside each other."""
    drivers = (3, 3) if kind == "overwrites" else (1,)
    slow = tuple(Fault(0, n, "store", "delayed", at, 0) for n in range(3) for at in range(9, 40, 3))
    schedule = Schedule(0, "mixed", False, "memory", drivers, 1, 4, 2, 0, slow)
    with pytest.raises((Broken, ArboristError)):
        prove_on(schedule, Forgetful(kind), Score())


class Doubling(CountedPool):
    """A pool that hands on the second answers of its engines, and answers that nobody asked for."""

    def __init__(self, pool: Pool, waves: set[str]) -> None:
        super().__init__(pool, waves)
        self._pool = pool
        self.collect = self._collect_twice

    def _collect_twice(self, timeout_s: float) -> list[Outcome]:
        return [outcome for outcome in self._pool.collect(timeout_s) for _ in range(2)]


@pytest.mark.parametrize("kind", ["shard gone", "manifest changed", "snapshot changed"])
def test_proof_breaks_on_a_store_that_forgets_repairs(kind: str):
    act = Act(1, kind, False, (0, 0, 0), 0)
    schedule = Schedule(0, "small", True, "memory", (1,), 1, 4, 2, 0, (), (act,))
    prove(schedule)
    with pytest.raises((Broken, CorruptData)):
        prove_on(schedule, Forgetful("forgets repairs"), Score())


@pytest.mark.parametrize("kind", ["answered twice", "answered what nobody asked", "died"])
def test_proof_breaks_on_a_pool_that_answers_twice_whatever_engines_did(
    kind: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(attempts, "CountedPool", Doubling)
    fault = Fault(0, 0, "engine", kind, 1, 8)
    with pytest.raises(Broken, match=r"attempt a0 ended with PoolError.*a second or an unasked"):
        prove(Schedule(0, "small", True, "memory", (1,), 1, 2, 2, 0, (fault,)))


def tried(error: BaseException, *kinds: str, restarts: int = 0) -> Try:
    """An attempt that ended so, after these faults of engines."""
    faults = [Fault(0, 0, "engine", kind, 1, 0) for kind in kinds]
    padding = Fault(0, 0, "engine", "died", 10**9, restarts)
    return Try("a", 0, [*faults, padding], fired=faults, error=error)


NO_ENGINE = PoolError("No engine of group 'main' is left: 1 were started")


def test_attempt_may_end_without_engines_only_once_the_budget_is_spent():
    assert is_permitted(tried(NO_ENGINE, "died"))
    assert is_permitted(tried(NO_ENGINE, "died", "raised", restarts=1))
    assert not is_permitted(tried(NO_ENGINE, "died", restarts=1))
    assert not is_permitted(tried(NO_ENGINE, "answered twice", "answered late"))


def test_attempt_may_end_with_no_other_error_than_that_of_its_faults():
    assert not is_permitted(tried(StoreError("fails as planned"), "died"))
    assert not is_permitted(tried(NoEngine(str(NO_ENGINE)), "died"))
    assert not is_permitted(tried(PoolError("another defect"), "died"))
    assert not is_permitted(tried(ValueError("No engine is left"), "died"))


def test_every_kind_of_fault_has_its_permitted_ends():
    drawn = {f"{where} {kind}" for where, kinds in KINDS.items() for kind in kinds}
    assert ENDS.keys() == drawn | {"workers killed"}
