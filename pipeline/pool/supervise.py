"""What every pool does alike: start engines, feed them, watch them, replace them.

The pool has no thread of its own: all of it happens within the calls of the driver, who sees the
engines through a `Fleet`. An engine is alive while its steps or tokens advance, not while it
answers. Time in which nobody looked is not counted against it.
"""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from pipeline.pool.dispatch import Dispatcher
from pipeline.pool.engine_loop import Exchange
from pipeline.pool.pool import GroupPlan, PoolLimits, PoolStats
from schemas.errors import ArboristError, EngineError, ModelError, PoolError
from schemas.records import EngineReport, EngineStats, Outcome, Request

_log = logging.getLogger(__name__)

_LOOK_S = 0.25
"""How long to wait for news before deadlines are looked at again."""

_GLANCE_S = 1.0
"""At most this much between two looks counts as time in which an engine stood still."""


class Preempted(EngineError):
    """An engine was lost because its machine was taken away: nobody's fault."""


class Host(Protocol):
    """Where one incarnation of an engine lives. No method waits."""

    def is_placed(self) -> bool:
        """Whether it has a place to run; loading begins then."""
        ...

    def report(self) -> EngineReport | None:
        """What it loaded, or None while it loads. Raises what ended it."""
        ...

    def send(self, requests: Sequence[Request]) -> None:
        """Hand it requests, perhaps none, and listen for what it finishes."""
        ...

    def receive(self) -> Exchange | None:
        """What it said since the last call, None for nothing. Raises what ended it."""
        ...

    def kill(self) -> None:
        """End it at once, or cut it off where that cannot be done."""
        ...


class Fleet(Protocol):
    """What a pool needs of the place where its engines live."""

    def launch(self, group: GroupPlan, incarnation: int) -> Host:
        """Begin to start an engine."""
        ...

    def wait(self, timeout_s: float) -> None:
        """Wait until some host may have news."""
        ...

    def shortage(self, group: GroupPlan) -> str:
        """Why an engine may find no place, for an error message."""
        ...

    def close(self, hosts: Sequence[Host]) -> None:
        """Let these engines end in order, and free what the fleet holds."""
        ...


@dataclass
class _Group:
    plan: GroupPlan
    dispatcher: Dispatcher


@dataclass
class _Engine:
    """A place in a group, and the incarnation that fills it."""

    name: str
    group: _Group
    incarnation: int
    host: Host
    since: float
    """When it was launched, placed, loaded, given work, or last seen to advance."""
    placed: bool = False
    report: EngineReport | None = None
    stats: EngineStats = field(default_factory=EngineStats)


class SupervisedPool:
    """A `Pool` over any fleet."""

    def __init__(
        self,
        groups: Sequence[GroupPlan],
        limits: PoolLimits,
        fleet: Fleet,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._limits = limits
        self._fleet = fleet
        self._clock = clock
        self._groups = {
            plan.name: _Group(plan, Dispatcher(lease=plan.lease, attempts=limits.attempts))
            for plan in groups
        }
        self._engines: dict[str, _Engine] = {}
        self._reports: dict[EngineReport, None] = {}
        self._ready: list[Outcome] = []
        self._incarnations = 0
        self._restarts = 0
        self._cause: ArboristError | None = None
        """What ended the last engine that was lost."""
        self._looked_at = clock()

    def start(self) -> None:
        """Start all engines; return when each group has one."""
        for group in self._groups.values():
            for index in range(group.plan.replicas):
                self._launch(f"{group.plan.name}-{index}", group)
        while not all(self._live(group) for group in self._groups.values()):
            self._look(_LOOK_S)
            for group in self._groups.values():
                if not self._members(group):
                    raise EngineError(self._none_left(group)) from self._cause

    def submit(self, requests: Sequence[Request]) -> None:
        """Take the requests of one wave, and hand engines what they have room for."""
        by_group: dict[str, list[Request]] = {}
        for request in requests:
            by_group.setdefault(request.group, []).append(request)
        for name, wanted in by_group.items():
            if name not in self._groups:
                raise PoolError(f"No engine group {name!r}: expected one of {list(self._groups)}")
            self._groups[name].dispatcher.submit(wanted)
        self._feed()

    def collect(self, timeout_s: float) -> list[Outcome]:
        """Outcomes since the last call, waiting at most so long for the first."""
        deadline = self._clock() + timeout_s
        self._look(0)
        while not self._ready and (left := deadline - self._clock()) > 0:
            self._require_engines()
            self._look(min(left, _LOOK_S))
        if not self._ready:
            self._require_engines()
        ready, self._ready = self._ready, []
        return ready

    def abandon(self) -> None:
        """Drop everything that was submitted and not collected."""
        self._ready.clear()
        for group in self._groups.values():
            group.dispatcher.abandon()

    def reports(self) -> list[EngineReport]:
        """What the engines that ever loaded said of themselves, without repeats."""
        return list(self._reports)

    def stats(self) -> PoolStats:
        """A look at it now."""
        dispatchers = [group.dispatcher for group in self._groups.values()]
        return PoolStats(
            engines={one.name: one.stats for one in self._engines.values() if one.report},
            restarts=self._restarts,
            requeued=sum(one.requeued for one in dispatchers),
            refused=sum(one.refused for one in dispatchers),
        )

    def close(self) -> None:
        """End all engines."""
        engines, self._engines = self._engines, {}
        self._fleet.close([engine.host for engine in engines.values()])

    # Engines come and go.

    def _launch(self, name: str, group: _Group) -> None:
        host = self._fleet.launch(group.plan, self._incarnations)
        self._engines[name] = _Engine(name, group, self._incarnations, host, self._clock())
        self._incarnations += 1

    def _lose(self, engine: _Engine, error: EngineError) -> None:
        """Give its work to others and start another in its place, if the budget allows."""
        self._cause = error
        engine.host.kill()
        del self._engines[engine.name]
        preempted = isinstance(error, Preempted)
        if engine.report:
            lost = engine.group.dispatcher.lost(engine.name, blame=not preempted)
            self._ready += lost
        replaced = preempted or self._restarts < self._limits.restarts
        _log.warning(
            "engine %s (incarnation %d) was lost: %s; %s",
            engine.name,
            engine.incarnation,
            error,
            "starting another in its place" if replaced else "the restart budget is spent",
        )
        if replaced:
            self._restarts += 1 - preempted
            self._launch(engine.name, engine.group)

    def _members(self, group: _Group) -> list[_Engine]:
        return [engine for engine in self._engines.values() if engine.group is group]

    def _live(self, group: _Group) -> bool:
        return any(engine.report for engine in self._members(group))

    def _require_engines(self) -> None:
        for group in self._groups.values():
            if group.dispatcher.unfinished and not self._members(group):
                raise PoolError(self._none_left(group)) from self._cause

    def _none_left(self, group: _Group) -> str:
        return (
            f"No engine of group {group.plan.name!r} is left: {group.plan.replicas} were started, "
            f"{self._restarts} of {self._limits.restarts} restarts are spent, and "
            f"{group.dispatcher.unfinished} children wait for an answer. The last one ended with: "
            f"{self._cause}. Mend that or raise `restarts`, and start the same command again: "
            "committed waves are kept, and the run goes on from there."
        )

    # One look at all engines.

    def _look(self, wait_s: float) -> None:
        """Wait for news up to so long, take in what there is, and hand out work."""
        self._fleet.wait(wait_s)
        now = self._clock()
        unseen = max(0.0, now - self._looked_at - _GLANCE_S)
        self._looked_at = now
        for engine in list(self._engines.values()):
            engine.since += unseen if engine.report else 0.0
            try:
                self._attend(engine, now)
            except EngineError as error:
                self._lose(engine, error)
        self._feed()

    def _attend(self, engine: _Engine, now: float) -> None:
        if not engine.report:
            self._await_report(engine, now)
            return
        exchange = engine.host.receive()
        if exchange:
            self._take_in(engine, exchange, now)
        stalled = now - engine.since > self._limits.stall_s
        if stalled and engine.group.dispatcher.holds(engine.name):
            raise EngineError(
                f"it has work, but neither its steps ({engine.stats.steps}) nor its tokens "
                f"({engine.stats.tokens}) advanced for {self._limits.stall_s:g} s (`stall_s`)"
            )

    def _take_in(self, engine: _Engine, exchange: Exchange, now: float) -> None:
        before, engine.stats = engine.stats, exchange.stats
        if (before.steps, before.tokens) != (engine.stats.steps, engine.stats.tokens):
            engine.since = now
        dispatcher = engine.group.dispatcher
        self._ready += dispatcher.accept(engine.name, engine.incarnation, exchange.outcomes)

    def _await_report(self, engine: _Engine, now: float) -> None:
        if not engine.placed and engine.host.is_placed():
            engine.placed, engine.since = True, now
        report = engine.host.report()
        if report:
            self._admit(engine, report, now)
        elif now - engine.since > self._limits.start_s:
            self._give_up_start(engine, now)

    def _admit(self, engine: _Engine, report: EngineReport, now: float) -> None:
        if report.weights != engine.group.plan.weights:
            raise ModelError(
                f"Engine {engine.name} loaded other weights than the run's: expected digest "
                f"{engine.group.plan.weights}, found {report.weights} ({report.backend} "
                f"{report.backend_version}). Point every engine at the model that the run was "
                "planned with, or plan a new run for this model."
            )
        _log.info("engine %s (incarnation %d) has loaded", engine.name, engine.incarnation)
        self._reports[report] = None
        engine.report, engine.since = report, now
        engine.group.dispatcher.join(engine.name, engine.incarnation)

    def _give_up_start(self, engine: _Engine, now: float) -> None:
        """Its time to load is over; without a place it may wait as long as others do the work."""
        if engine.placed:
            raise EngineError(f"it had not loaded after {self._limits.start_s:g} s (`start_s`)")
        shortage = self._fleet.shortage(engine.group.plan)
        if not self._live(engine.group):
            raise PoolError(
                f"No place was found for engine {engine.name} in {self._limits.start_s:g} s, and "
                f"its group has no other: {shortage}. Free or add what is missing, and start the "
                "same command again."
            )
        _log.warning("engine %s still waits for a place: %s", engine.name, shortage)
        engine.since = now

    def _feed(self) -> None:
        for engine in self._engines.values():
            if not engine.report:
                continue
            dispatcher = engine.group.dispatcher
            idle = not dispatcher.holds(engine.name)
            requests = dispatcher.take(engine.name)
            if idle and requests:
                engine.since = self._clock()
            if requests or not idle:
                engine.host.send(requests)
