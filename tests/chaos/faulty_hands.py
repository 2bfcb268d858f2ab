"""Engines, workers and watches that misbehave as an attempt's troubles say."""

import os
import signal
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from jobs.curation import make_workers, measure_factory
from jobs.wiring import used_groups
from pipeline.engines.engine import Engine
from pipeline.engines.scripted import WEIGHTS, ScriptedConfig, ScriptedEngine
from pipeline.pool.local import LocalPool
from pipeline.pool.local_workers import InlineWorkers, ProcessWorkers
from pipeline.pool.pool import GroupPlan, Pool, PoolLimits
from pipeline.pool.workers import Measure, Measured, Workers
from pipeline.watch import Stop
from schemas.errors import EngineError
from schemas.execution_spec import RunSpec
from schemas.manifest import RunFile
from schemas.measures import Measures, Turns
from schemas.records import EngineReport, EngineStats, Outcome, Request
from tests.builders import Bystander
from tests.chaos.schedule import STOPS
from tests.chaos.troubles import TroubledStore, Troubles

STANDSTILL_S = 0.2
"""How long engines may stand still or load, where troubles have some that do."""
ENGINES_EACH = 1000
"""More than one attempt starts."""
_BLOCKED_S = 0.5
_LATE_STEPS = 5
_DAY_S = 86400.0


class TroubledEngine(ScriptedEngine):
    """A scripted engine that fails as planned, each time once."""

    def __init__(self, config: ScriptedConfig, incarnation: int, troubles: Troubles) -> None:
        super().__init__(config, incarnation)
        self._troubles = troubles
        self._number = incarnation % ENGINES_EACH + 1
        self._given = 0
        self._stands: EngineStats | None = None
        """The counters of one that hangs."""
        self._kept_back: list[Outcome] = []
        self._steps_late = 0

    def start(self) -> EngineReport:
        if self._troubles.due("engine", ["failed to start"], self._number):
            raise EngineError("fails to start, as planned")
        if self._troubles.due("engine", ["hung at the start"], self._number):
            time.sleep(_BLOCKED_S)
        return super().start()

    def add(self, request: Request) -> None:
        if self._is_due("raised at a request"):
            raise ValueError("a request that engines choke on, as planned")
        super().add(request)

    def step(self) -> list[Outcome]:
        if self._is_due("died"):
            raise EngineError("dies, as planned")
        if self._is_due("raised"):
            raise RuntimeError("CUDA error, as planned")
        if self._is_due("hung"):
            self._stands = super().stats()
        if self._is_due("hung in a step"):
            time.sleep(_BLOCKED_S)
        if self._stands is not None:
            time.sleep(0.005)
            return []
        outcomes = self._held_back(super().step())
        self._given += len(outcomes)
        return self._garbled(outcomes)

    def has_work(self) -> bool:
        return bool(self._kept_back) or self._stands is not None or super().has_work()

    def stats(self) -> EngineStats:
        return self._stands or super().stats()

    def close(self) -> None:
        super().close()
        self._stands, self._kept_back = None, []
        if self._is_due("raised at its end"):
            raise RuntimeError("the device cannot be freed, as planned")

    def _is_due(self, kind: str) -> bool:
        return self._troubles.due("engine", [kind], self._given + 1) is not None

    def _held_back(self, outcomes: list[Outcome]) -> list[Outcome]:
        if outcomes and self._is_due("answered late"):
            self._steps_late = _LATE_STEPS
        self._kept_back += outcomes
        if self._steps_late:
            self._steps_late -= 1
            return []
        outcomes, self._kept_back = self._kept_back, []
        return outcomes

    def _garbled(self, outcomes: list[Outcome]) -> list[Outcome]:
        if outcomes and self._is_due("answered twice"):
            return [*outcomes, *outcomes]
        if outcomes and self._is_due("answered what nobody asked"):
            key = outcomes[0].key
            strays = [key._replace(parent_id="0" * 32), key._replace(child_index=999)]
            return [*(replace(outcomes[0], key=stray) for stray in strays), *outcomes]
        if outcomes and self._is_due("lost an answer"):
            return outcomes[1:]
        return outcomes


class CountedPool:
    """A pool that notes the waves it was given."""

    def __init__(self, pool: Pool, waves: set[str]) -> None:
        self._pool, self.waves = pool, waves
        self.start, self.collect, self.abandon = pool.start, pool.collect, pool.abandon
        self.reports, self.stats, self.close = pool.reports, pool.stats, pool.close

    def submit(self, requests: Sequence[Request]) -> None:
        self.waves |= {request.wave for request in requests}
        self._pool.submit(requests)


def troubled_pool(spec: RunSpec, limits: PoolLimits, troubles: Troubles, first: int) -> LocalPool:
    """Engines with seeds of their own; their incarnations begin with the first."""

    def group_plan(name: str, group: Any) -> GroupPlan:
        settings: Mapping[str, Any] = {"max_num_seqs": group.slots, **group.scripted}
        config = ScriptedConfig.from_settings(settings)

        def make_engine(incarnation: int) -> Engine:
            return TroubledEngine(config, incarnation + first, troubles)

        return GroupPlan(name, make_engine, group.replicas, group.lease, WEIGHTS)

    groups = [group_plan(name, group) for name, group in used_groups(spec).items()]
    return LocalPool(groups, limits)


class TroubledWorkers:
    """Workers that are killed, or late."""

    def __init__(self, workers: Workers, troubles: Troubles) -> None:
        self._workers, self._troubles = workers, troubles
        self._submitted = 0
        self._held: list[Measured] = []
        self._calls_late = 0
        self.start, self.close = workers.start, workers.close

    def submit(self, wave: str, turns: Turns) -> None:
        self._submitted += 1
        if isinstance(self._workers, ProcessWorkers) and self._is_due("killed"):
            for pid in self._workers.pids():
                os.kill(pid, signal.SIGKILL)
        self._workers.submit(wave, turns)

    def collect(self) -> list[Measured]:
        found = self._workers.collect()
        if found and self._is_due("measured late"):
            self._calls_late = _LATE_STEPS
        self._held += found
        if self._calls_late:
            self._calls_late -= 1
            return []
        found, self._held = self._held, []
        return found

    def _is_due(self, kind: str) -> bool:
        return self._troubles.due("workers", [kind], self._submitted) is not None


def troubled_workers(spec: RunSpec, run_file: RunFile, troubles: Troubles) -> TroubledWorkers:
    """Those of a spec; what measures in the driver's process may raise."""
    if spec.execution.workers:
        return TroubledWorkers(make_workers(spec, run_file), troubles)
    make_measure = measure_factory(spec, run_file)

    def make_troubled() -> Measure:
        measure, number = make_measure(), iter(range(1, 10**9))

        def measure_or_raise(turns: Turns) -> Measures:
            if troubles.due("workers", ["raised while measuring"], next(number)):
                raise ZeroDivisionError("in a filter, as planned")
            return measure(turns)

        return measure_or_raise

    return TroubledWorkers(InlineWorkers(make_troubled), troubles)


class TroubledWatch(Bystander):
    """Asks for a stop, or dies, at a turn of the loop."""

    def __init__(self, troubles: Troubles, store: TroubledStore) -> None:
        super().__init__()
        self._troubles, self._store = troubles, store
        self._asked = 0
        self._said = Stop.NO

    def stop(self) -> Stop:
        self._asked += 1
        if self._troubles.due("driver", ["killed"], self._asked):
            raise self._store.kill()
        if told := self._troubles.due("driver", STOPS, self._asked):
            self._said = Stop(told.kind.removeprefix("told to "))
        return self._said


class JumpingClock:
    """The time of day on a machine whose clock is set, forth and back, while it runs."""

    def __init__(self, troubles: Troubles) -> None:
        self._troubles = troubles
        self._calls, self._offset = 0, 0.0

    def __call__(self) -> float:
        self._calls += 1
        if jump := self._troubles.due("driver", ["clock jumped"], self._calls):
            self._offset += (jump.size - 500) * _DAY_S
        return time.time() + self._offset
