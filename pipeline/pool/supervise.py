"""What every pool does alike: start engines, feed them, watch them, replace them.

The pool has no thread of its own: all of it happens within the calls of the driver, who sees the
engines through a `Fleet`. An engine is alive while its steps or tokens advance, not while it
answers. Time in which nobody looked is not counted against it.
"""

import logging
import math
import time
from collections.abc import Callable, Sequence

from pipeline.pool.dispatch import Dispatcher
from pipeline.pool.engine_loop import Exchange
from pipeline.pool.hosts import Fleet
from pipeline.pool.members import Group, Member
from pipeline.pool.pool import GroupPlan, PoolLimits, PoolStats
from pipeline.pool.restarts import Restarts, blames_children, is_machines
from pipeline.pool.staffing import idle, to_yield, turns_to_load, vacancies, withdrawn
from schemas.errors import EngineError, ModelError, NoEngine, PoolError
from schemas.records import EngineReport, Failure, Outcome, Request

_log = logging.getLogger(__name__)

_LOOK_S = 0.25
"""How long to wait for news before deadlines are looked at again."""

_REST_S = 0.00025
"""From one look to the next, by engine: 16 ms with 64 of them, which hold twice the work that they
can have running."""

_GLANCE_S = 1.0
"""At most this much between two looks counts as time in which an engine stood still."""

_AGAIN = (
    "and start the same command again: committed waves are kept, and the run goes on from there."
)


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
            plan.name: Group(plan, Dispatcher(lease=plan.lease, attempts=limits.attempts), clock())
            for plan in groups
        }
        self._reports: dict[EngineReport, None] = {}
        self._ready: list[Outcome] = []
        self._incarnations = 0
        self._restarts = Restarts(limits.restarts, limits.machine_restarts)
        self._looked_at = clock()
        self._yielded_at = clock()
        self._gpu_s = 0.0
        """Held until the last look."""

    def start(self) -> None:
        """Start all engines; return when each group has one."""
        self._fleet.open()
        self._staff(self._clock())
        self._looked_at = self._yielded_at = self._clock()
        for group in self._groups.values():
            group.placed_at = self._looked_at
        while lacking := [group for group in self._groups.values() if not group.live]:
            self._look(_LOOK_S)
            for group in lacking:
                self._require_any(group, EngineError)
        for group in self._groups.values():
            group.queued_at = self._looked_at

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
        self._rest(deadline)
        self._look(0)
        while not self._ready and (left := deadline - self._clock()) > 0:
            self._require_engines()
            self._look(min(left, _LOOK_S))
        if not self._ready:
            self._require_engines()
        ready, self._ready = self._ready, []
        return ready

    def _rest(self, deadline: float) -> None:
        """Let outcomes gather: a look costs by engine, however few have something to say."""
        until = min(deadline, self._looked_at + _REST_S * len(self._members))
        if not self._ready and (left := until - self._clock()) > 0:
            time.sleep(left)

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
            engines={member.name: member.stats for member in self._members if member.report},
            restarts=self._restarts.work,
            machine_restarts=self._restarts.machines,
            requeued=sum(one.requeued for one in dispatchers),
            refused=sum(one.refused for one in dispatchers),
            waiting=sum(not member.placed for member in self._members),
            loading=sum(member.placed and not member.report for member in self._members),
            gpus=self._gpus,
            gpu_s=self._gpu_s + self._gpus * (self._clock() - self._looked_at),
        )

    def close(self, patience_s: float = math.inf) -> None:
        """End all engines, which have at most so long to free their devices."""
        self._count_gpus(self._clock())
        members = self._members
        for group in self._groups.values():
            group.members.clear()
        self._fleet.close([member.host for member in members], patience_s)

    # Engines come and go.

    @property
    def _members(self) -> list[Member]:
        return [member for group in self._groups.values() for member in group.members.values()]

    @property
    def _gpus(self) -> float:
        """That engines hold."""
        return sum(member.group.plan.gpus for member in self._members if member.placed)

    def _count_gpus(self, now: float) -> None:
        self._gpu_s += self._gpus * (now - self._looked_at)
        self._looked_at = now

    def _staff(self, now: float) -> None:
        """Ask for engines, let some load, and let others go."""
        groups = list(self._groups.values())
        for member in withdrawn(groups):
            self._dismiss(member)
        for group in groups:
            for member in idle(group, now, self._limits.idle_s):
                group.let_go += 1
                _log.info("%s has had no work for long and is let go", member)
                self._dismiss(member)
        if now - self._yielded_at > self._limits.yield_s:
            self._yield_one(to_yield(groups, now, self._limits.yield_s), now)
        for group, name in vacancies(groups):
            self._launch(name, group)
        for group in groups:
            for member in turns_to_load(group):
                member.loading, member.since = True, now
                member.host.load()

    def _yield_one(self, member: Member | None, now: float) -> None:
        if member is not None:
            self._yielded_at = now
            _log.warning("%s makes room for a group of which no engine has a place", member)
            self._dismiss(member)

    def _launch(self, name: str, group: Group) -> None:
        host = self._fleet.launch(group.plan, self._incarnations)
        group.members[name] = Member(name, group, self._incarnations, host, self._clock())
        group.launches -= 1
        self._incarnations += 1

    def _dismiss(self, member: Member) -> None:
        """Let one go that may be asked for again."""
        group = member.group
        member.host.kill()
        del group.members[member.name]
        group.launches += 1
        if member.report:
            group.dispatcher.lost(member.name, blame=False)

    def _lose(self, member: Member, error: EngineError) -> None:
        """Give its work to others and start another in its place, if the budget allows."""
        group = member.group
        group.cause = error
        member.host.kill()
        del group.members[member.name]
        spare = group.placed >= group.plan.least
        replaced = self._restarts.pay(error, ever_loaded=group.ever_loaded, spare=spare)
        group.launches += replaced
        then = "another is asked for in its place" if replaced else "no budget is left for another"
        _log.warning("%s was lost: %s; %s (%s are spent)", member, error, then, self._restarts)
        if member.report:
            failures = group.dispatcher.lost(member.name, blame=blames_children(error))
            self._set_aside(failures)

    def _set_aside(self, failures: Sequence[Outcome]) -> None:
        self._ready += failures
        for failure in failures[:1]:
            assert isinstance(failure, Failure)
            more = f" ({len(failures) - 1} more were set aside with it)" * (len(failures) > 1)
            _log.warning("%s%s", failure.message, more)

    def _require_engines(self) -> None:
        for group in self._groups.values():
            if group.dispatcher.unfinished:
                self._require_any(group, PoolError)

    def _require_any(self, group: Group, failed: type[EngineError] | type[PoolError]) -> None:
        """Raise if nothing can come of a group: `failed` where the work is to blame."""
        if not group.members:
            machines = is_machines(group.cause, ever_loaded=group.ever_loaded)
            raise (NoEngine if machines else failed)(self._none_left(group)) from group.cause
        waited = self._looked_at - group.placed_at
        if not group.live and waited > self._limits.wait_s:
            raise NoEngine(
                f"No place was found for any engine of group {group.plan.name!r} in "
                f"{self._limits.wait_s:g} s (`wait_s`): {self._fleet.shortage(group.plan)}; "
                f"{_waiting(group)}. Free or add what is missing, {_AGAIN}"
            ) from group.cause

    def _none_left(self, group: Group) -> str:
        return (
            f"No engine of group {group.plan.name!r} is left: {group.plan.ceiling} were asked for, "
            f"{self._restarts} are spent, and {_waiting(group)}. The last one ended with: "
            f"{group.cause}. Mend that or raise these budgets in the execution spec, {_AGAIN}"
        )

    # One look at all engines.

    def _look(self, wait_s: float) -> None:
        """Wait for news up to so long, take in what there is, and hand out work."""
        self._fleet.wait(wait_s)
        now = self._clock()
        unseen = max(0.0, now - self._looked_at - _GLANCE_S)
        self._count_gpus(now)
        for member in self._members:
            member.since += unseen if member.report else 0.0
            try:
                self._attend(member, now)
            except EngineError as error:
                self._lose(member, error)
        self._feed()
        for group in self._groups.values():
            if group.look(now, unseen):
                shortage = self._fleet.shortage(group.plan)
                _log.warning("%s still wait for a place: %s", group.waiting(), shortage)
        self._staff(now)

    def _attend(self, member: Member, now: float) -> None:
        if not member.report:
            self._await_report(member, now)
            return
        exchange = member.host.receive()
        if exchange:
            self._take_in(member, exchange, now)
        stalled = now - member.since > self._limits.stall_s
        if stalled and member.group.dispatcher.holds(member.name):
            raise EngineError(
                f"it has work, but neither its steps ({member.stats.steps}) nor its tokens "
                f"({member.stats.tokens}) advanced for {self._limits.stall_s:g} s (`stall_s`)"
            )

    def _take_in(self, member: Member, exchange: Exchange, now: float) -> None:
        before, member.stats = member.stats, exchange.stats
        if (before.steps, before.tokens) != (member.stats.steps, member.stats.tokens):
            member.since = now
        dispatcher = member.group.dispatcher
        dispatcher.heed(member.name, member.stats)
        self._ready += dispatcher.accept(member.name, member.incarnation, exchange.outcomes)

    def _await_report(self, member: Member, now: float) -> None:
        if not member.placed and member.host.is_placed():
            member.placed, member.since = True, now
        if not member.loading:
            return
        report = member.host.report()
        if report:
            self._admit(member, report, now)
        elif now - member.since > self._limits.start_s:
            raise EngineError(
                f"it had not loaded {self._limits.start_s:g} s after it began to (`start_s`)"
            )

    def _admit(self, member: Member, report: EngineReport, now: float) -> None:
        group = member.group
        if report.weights != group.plan.weights:
            raise ModelError(
                f"Engine {member.name} loaded other weights than the run's: expected digest "
                f"{group.plan.weights}, found {report.weights} ({report.backend} "
                f"{report.backend_version}). Point every engine at the model that the run was "
                "planned with, or plan a new run for this model."
            )
        _log.info("%s has loaded", member)
        self._reports[report] = None
        group.ever_loaded = True
        member.load_s = now - member.since
        member.report, member.since = report, now
        group.dispatcher.join(member.name, member.incarnation)

    def _feed(self) -> None:
        for member in self._members:
            if not member.report:
                continue
            dispatcher = member.group.dispatcher
            held = dispatcher.holds(member.name)
            has_room = held < member.group.plan.lease
            requests = dispatcher.take(member.name) if has_room else []
            if requests and not held:
                member.since = self._clock()
            if requests or held:
                member.host.send(requests)


def _waiting(group: Group) -> str:
    return f"{group.dispatcher.unfinished} children wait for an answer"
