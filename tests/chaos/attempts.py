"""Attempts at a run as the command makes them, with troubles, and what became of them."""

import threading
from collections import Counter
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

from jobs.wiring import Resolved, pace_of
from pipeline.generate import Attempt, Hands
from pipeline.outlook import Limits
from pipeline.pool.pool import PoolLimits
from pipeline.seal import seal
from pipeline.storage.ledger import Ledger
from pipeline.storage.open import prove_create
from pipeline.storage.runs import create_run
from pipeline.storage.snapshots import latest, sweep_orphans
from pipeline.storage.store import Store
from schemas.execution_spec import BudgetSpec, RunSpec
from schemas.manifest import Snapshot
from tests.builders import at_work, sharing
from tests.chaos.faulty_hands import (
    ENGINES_EACH,
    STANDSTILL_S,
    CountedPool,
    JumpingClock,
    TroubledWatch,
    troubled_pool,
    troubled_workers,
)
from tests.chaos.schedule import Fault, Schedule
from tests.chaos.shapes import Shape
from tests.chaos.troubles import Ground, TroubledStore, Troubles

PATIENT_S = 120.0
CLAIM_S = 0.25
"""Less than some troubles take: a driver that hangs is taken for dead, and comes back."""
ENGINES_A_POOL = 100
"""More than one is restarted."""
WAITS = ("hung", "hung in a step", "hung at the start", "lost an answer")
"""After these an attempt waits for a deadline."""


@dataclass
class Try:
    """One attempt of a schedule."""

    name: str
    number: int
    faults: Sequence[Fault] = ()
    fired: list[Fault] = field(default_factory=list)
    opened: set[str] = field(default_factory=set)
    """Waves whose children it asked for."""
    pools: int = 0
    """That it had, one after the other."""
    snapshot: Snapshot | None = None
    """What it ended with."""
    error: BaseException | None = None
    ended: bool = False
    beside: str = ""
    """What else was done to the run meanwhile."""

    @property
    def restarts(self) -> int:
        """Engines that are replaced, at most."""
        return sum(fault.size for fault in self.faults) % 9

    def run(self, shape: Shape, spec: RunSpec, ground: Ground) -> None:
        """Make the attempt; whatever it raises is noted."""
        troubles = Troubles(self.faults)
        self.fired = troubles.fired
        try:
            self.snapshot = self._generate(shape, spec, TroubledStore(ground, troubles), troubles)
        except BaseException as error:  # noqa: BLE001 - who looks at the try judges it
            self.error = error
        finally:
            self.ended = True

    def _generate(
        self, shape: Shape, spec: RunSpec, store: TroubledStore, troubles: Troubles
    ) -> Snapshot:
        resolved = shape.resolved
        prove_create(store, self.name)
        resolved = resolved._replace(run_file=create_run(store, resolved.run_file))
        ledger = Ledger(store)
        before, done = ledger.all(), latest(store)
        if done is not None and done.complete:
            sweep_orphans(store, done)
            return done
        limits = Limits(spec.execution.max_failed_share, self._budget(troubles))
        engage = partial(self._engaged, spec, resolved, troubles)
        clock, watch = JumpingClock(troubles), TroubledWatch(troubles, store)
        with sharing(store, self.name, CLAIM_S, clock) as share:
            whole = Attempt(
                resolved.run, ledger=ledger, share=share, pace=pace_of(spec), watch=watch
            ).generate(engage, before, limits, clock=clock)
        return seal(store, resolved.run_file, resolved.run.recipe, partial=not whole)

    def _engaged(
        self, spec: RunSpec, resolved: Resolved, troubles: Troubles
    ) -> AbstractContextManager[Hands]:
        first = ENGINES_EACH * self.number + ENGINES_A_POOL * self.pools
        self.pools += 1
        pool = CountedPool(troubled_pool(spec, self._limits(spec), troubles, first), self.opened)
        return at_work(pool, troubled_workers(spec, resolved.run_file, troubles), resolved.plant)

    def _limits(self, spec: RunSpec) -> PoolLimits:
        """Where engines are to stand still, that is noticed soon."""
        soon = any(fault.kind in WAITS for fault in self.faults)
        given_up = STANDSTILL_S if soon else PATIENT_S
        # Losses beyond `attempts` would set children aside as poison, which changes rows.
        return PoolLimits(
            attempts=1000,
            restarts=self.restarts,
            start_s=given_up,
            stall_s=given_up,
        )

    def _budget(self, troubles: Troubles) -> BudgetSpec:
        budget = troubles.due("driver", ["budget"], 10**9)
        return BudgetSpec(nodes=budget.at, hours=24.0) if budget else BudgetSpec()


def spec_of(shape: Shape, schedule: Schedule) -> RunSpec:
    """The shape's spec, executed as a schedule says."""
    execution = shape.spec.execution
    changes = {"replicas": schedule.replicas, "max_num_seqs": schedule.seats}
    engines = {name: group.model_copy(update=changes) for name, group in execution.engines.items()}
    updated = {
        "engines": engines,
        "waves_in_flight": schedule.waves,
        "workers": schedule.processes,
    }
    return shape.spec.model_copy(update={"execution": execution.model_copy(update=updated)})


class Actor(Protocol):
    """An attempt, or somebody else who works on a run."""

    @property
    def name(self) -> str: ...

    def run(self, shape: Shape, spec: RunSpec, ground: Ground) -> None: ...


def run_beside(
    tries: Sequence[Actor], shape: Shape, spec: RunSpec, ground: Ground, patience_s: float
) -> list[str]:
    """Let them work at the same time; the names of those that do not end."""
    threads = {
        one.name: threading.Thread(target=one.run, args=(shape, spec, ground), daemon=True)
        for one in tries
    }
    for thread in threads.values():
        thread.start()
    for thread in threads.values():
        thread.join(patience_s)
    return [name for name, thread in threads.items() if thread.is_alive()]


def opened_in_vain(one: Try, store: Store) -> int:
    """How many waves it asked for that another attempt had to make again, or had made."""
    won = {wave for wave, manifest in Ledger(store).all().items() if manifest.attempt == one.name}
    return len(one.opened - won)


@dataclass
class Score:
    """What many schedules came to."""

    schedules: int = 0
    attempts: int = 0
    survived: Counter[str] = field(default_factory=Counter)
    """Faults by kind that came in an attempt which went on to its end."""
    resumed: Counter[str] = field(default_factory=Counter)
    """Those in an attempt that ended early, which a later one went on from."""
    repeated: Counter[str] = field(default_factory=Counter)
    """Waves asked for again, by the last fault of the attempt that lost them."""
    acts: Counter[str] = field(default_factory=Counter)
    """Damage that was repaired, and refinements."""
    lost: int = 0
    doubled: int = 0

    @property
    def injected(self) -> Counter[str]:
        return self.survived + self.resumed

    def book(self, one: Try, in_vain: int) -> None:
        """One attempt more."""
        self.attempts += 1
        kinds = [fault.what for fault in one.fired]
        (self.resumed if one.error else self.survived).update(kinds)
        if in_vain:
            self.repeated[kinds[-1] if kinds and one.error else one.beside or "another driver"] += (
                in_vain
            )
