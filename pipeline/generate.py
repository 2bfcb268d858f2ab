"""The loop: open ready waves, collect outcomes, commit what is whole, until nothing remains.

It owns the state of one attempt and nothing that matters beyond it: a wave exists when its
manifest does, and a killed driver loses only the waves in flight. It names no backend.

Several drivers share a run by cohorts. One that finds nothing more to take lets its engines go and
waits until the others have committed everything, or until what a dead one left is free.
"""

import logging
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, ExitStack
from functools import partial
from typing import NamedTuple

from pipeline.ahead import Ahead
from pipeline.commits import Commits
from pipeline.flight import Flight, OpenWave, Pace
from pipeline.judging import count, judged_rows, measured_rows, sampled
from pipeline.lineage import Lineage, Plant, kept_rows
from pipeline.outlook import Limits, Outlook
from pipeline.passes import PASSES, next_requests, write_again
from pipeline.plan.budget import Limit
from pipeline.plan.plan import make_plan
from pipeline.pool.pool import Pool
from pipeline.pool.workers import Workers
from pipeline.share import Share
from pipeline.storage.ledger import Ledger
from pipeline.storage.shards import ShardPlace, WaveRows, write_shards
from pipeline.tree.expand import attach, expand
from pipeline.tree.frontier import Parent, frontier_of
from pipeline.tree.run import Run
from pipeline.tree.turns import turns_of
from pipeline.watch import Stop, Watch
from schemas.errors import CorruptData, Evicted, FailureShareExceeded, Interrupted
from schemas.manifest import Counts, Manifest, Software
from schemas.measures import Measures
from schemas.records import EngineReport
from schemas.wave_id import WaveId

log = logging.getLogger(__name__)

TICK_S = 0.5
LEAST_WAIT_S = 0.05
MEASURING_TICK_S = 0.02
COMMITTING_TICK_S = 0.005
"""By engine: each turn of the loop looks at all of them."""
OPENING_S = 0.5
"""After so much opening of waves, others and what came back are looked at before it goes on."""
FRONTIERS_BY_ENGINE = 8
"""Kept at hand, of waves whose child waves are not all open: 40 engines met 293 of them."""
ENOUGH_ANSWERS = 100
"""Below so many outcomes a share of failures says nothing."""


class Hands(NamedTuple):
    """Those who do the work: engines write turns, workers measure them, roots are planted."""

    pool: Pool
    workers: Workers
    plant: Plant


Engage = Callable[[], AbstractContextManager[Hands]]
"""Has them ready inside, and lets them go afterwards."""


class Whole(NamedTuple):
    """A wave that is on its way into the ledger."""

    opened: OpenWave
    frontier: list[Parent]
    """Its nodes that are expanded further, if it is ours that is committed."""
    judged_at: float
    """By the clock that passes evenly."""


class Attempt:
    """One process's try at a run."""

    def __init__(self, run: Run, *, ledger: Ledger, share: Share, pace: Pace, watch: Watch) -> None:
        self._run, self._name = run, share.me.attempt
        self._ledger, self._share, self._pace, self._watch = ledger, share, pace, watch
        self._store = ledger.store
        self._plan = make_plan(run.spec, run.recipe, run.trees)
        self._outlook = Outlook(run, self._plan, ledger, share, watch)
        self._pool: Pool
        self._ahead: Ahead
        self._workers: Workers
        self._lineage: Lineage
        self._flight = Flight()
        self._measuring = 0
        """Waves at the workers."""
        self._commits: Commits[Whole]
        self._engaged = False
        """Whether there is a pool."""
        self._hurried = False
        """Whether more waves are to be opened as soon as possible."""
        self._gpu_s_before = 0.0
        """Held by pools that were let go."""
        self._doubtful: list[OpenWave] = []
        """Waves that are whole, but commit nothing before a first request of the run succeeds."""
        self.in_vain = 0
        """Waves made here that another driver committed first."""

    def generate(
        self,
        engage: Engage,
        before: Mapping[str, Manifest],
        limits: Limits,
        *,
        clock: Callable[[], float] | None = None,
    ) -> bool:
        """Grow until every planned wave is committed, or raise; what is committed stays.

        `before` is the ledger by wave, as it was read last. Those who do the work are engaged once
        a cohort is this driver's. False says that cohorts remain which the budget does not admit;
        those that were begun are whole.
        """
        clock = clock or even_clock()
        self._outlook.begin(before, limits, clock)
        agenda = self._outlook.agenda
        try:
            while agenda.has_next() or agenda.awaited:
                if agenda.has_next():
                    self._work(engage, limits, clock)
                else:
                    self._wait()
                if not agenda.is_done:
                    self._outlook.catch_up()
        finally:
            self._share.end()
        return not agenda.held_back

    def limits(self) -> tuple[Limit, ...]:
        """The budget, and what all attempts spent of it, as far as it is known."""
        return self._outlook.limits()

    def _work(self, engage: Engage, limits: Limits, clock: Callable[[], float]) -> None:
        """Engage hands and use them until they find nothing more to do."""
        self._outlook.hold(self._name, self._gpu_s)
        with ExitStack() as stack:
            with self._share.kept("loading"):
                self._pool, self._workers, plant = stack.enter_context(engage())
            # The loop stands still while one is read again.
            held = FRONTIERS_BY_ENGINE * self._pace.engines
            self._lineage = Lineage(self._run, self._plan, self._ledger, plant, held=held)
            self._ahead = Ahead(self._run, self._pool, self._pace.least_odds)
            self._engaged = True
            self._commits = stack.enter_context(Commits())
            self._grow(limits.max_failed_share, clock)
            self._gpu_s_before, self._engaged = self._gpu_s(), False
        self._outlook.release()

    def _gpu_s(self) -> float:
        return self._gpu_s_before + (self._pool.stats().gpu_s if self._engaged else 0.0)

    def _wait(self) -> None:
        """Until others may have got further, or one of them may be dead."""
        others = self._share.awaited(self._outlook.agenda.awaited)
        self._watch.waits(others)
        self._share.tend("waiting")
        until = time.monotonic() + max(LEAST_WAIT_S, self._share.patience_s(others))
        while (left := until - time.monotonic()) > 0:
            if (stop := self._watch.stop()) is not Stop.NO:
                raise self._stopped(stop)
            time.sleep(min(TICK_S, left))
        self._outlook.require_no_repair()

    def _grow(self, max_failed_share: float, clock: Callable[[], float]) -> None:
        """Make waves until there are none to make that are this driver's."""
        while self._fill(clock):
            self._outlook.keep_up()
            self._require_fruit()
            for opened in self._flight.settle(self._ahead.collect(self._patience())):
                self._answered(opened, clock)
            for wave, measures in self._workers.collect():
                self._measured(self._flight.named(wave), measures, clock)
            for whole, manifest in self._commits.landed(self._leisure()):
                self._landed(whole, manifest)
            self._watch.tick(self._pool.stats(), open_waves=self._flight.waves)
            self._check_failures(max_failed_share)

    def _patience(self) -> float:
        """How long to wait for outcomes, when measures and commits may come as well."""
        if self._hurried or (self._commits and not self._flight.pending):
            return 0.0
        if self._commits:
            return min(MEASURING_TICK_S, COMMITTING_TICK_S * self._pace.engines)
        return MEASURING_TICK_S if self._measuring else TICK_S

    def _leisure(self) -> float:
        """How long to wait for commits: where engines have work, that is looked after first."""
        if self._flight.pending:
            return 0.0
        return MEASURING_TICK_S if self._measuring else TICK_S

    def _fill(self, clock: Callable[[], float]) -> bool:
        """Open ready waves while there is room; False when none is open and none remains."""
        until, self._hurried = time.monotonic() + OPENING_S, False
        while (stop := self._watch.stop()) is Stop.NO and self._has_room():
            if time.monotonic() > until:
                self._hurried = True
                break
            wave = self._outlook.agenda.next()
            if wave is None:
                self._ask_ahead()
                break
            winner = self._ledger.read(wave.name)
            if winner is None:
                self._open(wave, clock())
            else:
                self._outlook.book(winner, ours=False)
        if stop.drops or (stop is not Stop.NO and not self._flight.waves):
            self._pool.abandon()
            for whole, manifest in self._commits.last():
                self._landed(whole, manifest)
            raise self._stopped(stop)
        return self._flight.waves > 0

    def _stopped(self, stop: Stop) -> Interrupted:
        leaves = stop in (Stop.LEAVE, Stop.EVICT)
        why = "the machine is taken away (SIGTERM)" if leaves else "stopped as asked"
        return (Evicted if leaves else Interrupted)(
            f"{self._store.location}: {why}; {self._flight.closed} waves were committed by this "
            f"attempt, {self._flight.waves} waves in flight dropped. What is committed stays, and "
            "the same command continues the run."
        )

    def _has_room(self) -> bool:
        going = self._flight.waves - len(self._doubtful)
        live = len(self._pool.stats().engines)
        elsewhere = self._measuring + len(self._commits)
        return self._pace.has_room(going, self._flight.pending, elsewhere, live=live)

    def _open(self, wave: WaveId, now: float) -> None:
        rule = self._run.rule(wave.level)
        parents = self._lineage.parents(wave)
        if not parents:
            raise CorruptData(
                f"{self._store.location}: wave {wave.name} is ready by the manifest above it, but "
                "the rows there leave it no parents; that manifest was changed. `arborist repair` "
                "retires it, and the same command makes it again."
            )
        requests = expand(self._run, wave.name, parents, rule)
        opened = OpenWave(wave, rule, parents, requests, now, gpus=self._pool.stats().gpus)
        self._flight.open(opened)
        self._ahead.open(opened)

    def _ask_ahead(self) -> None:
        """No wave is ready: what engines have room for beyond those that are open."""
        busy = self._flight.pending + self._ahead.outstanding
        self._ahead.ask(self._pace.idle_slots(busy, live=len(self._pool.stats().engines)))

    def _answered(self, opened: OpenWave, clock: Callable[[], float]) -> None:
        """All that was asked is answered: the turns, and later what was asked about them."""
        if opened.measures is None:
            opened.candidates = attach(
                self._run, opened.parents, opened.requests, opened.outcomes, opened.rule
            )
            self._measure(opened)
        else:
            self._go_on(opened, clock)

    def _measure(self, opened: OpenWave) -> None:
        turns = turns_of(self._run, opened.parents, sampled(opened.candidates))
        self._measuring += 1
        self._workers.submit(opened.wave.name, turns)

    def _measured(self, opened: OpenWave, found: Measures, clock: Callable[[], float]) -> None:
        self._measuring -= 1
        opened.measures = found.take(measured_rows(opened.candidates))
        self._go_on(opened, clock)

    def _go_on(self, opened: OpenWave, clock: Callable[[], float]) -> None:
        """The next pass of a measured wave; its end after the last."""
        for kind in PASSES:
            if kind not in opened.asides:
                opened.asides[kind] = next_requests(self._run, opened, kind)
                if opened.asides[kind]:
                    self._flight.ask(opened, opened.asides[kind])
                    self._pool.submit(opened.asides[kind])
                    return
            elif kind == "rewrite" and not opened.drafts and write_again(self._run, opened):
                self._measure(opened)
                return
        self._doubtful.append(opened)
        if self._outlook.fruitful or self._flight.failed < self._flight.answered:
            self._outlook.fruitful = True
            doubtful, self._doubtful = self._doubtful, []
            for whole in doubtful:
                self._close(whole, clock())

    def _require_fruit(self) -> None:
        """Raise where all that was asked has failed and nothing is left to hope for: a run without
        a text must not end as a whole one, and what is not committed is asked for again."""
        if self._doubtful and not (self._flight.pending or self._measuring):
            raise self._failed(
                "all that there are, so none is committed, unless `max_failed_share` is 1"
            )

    def _close(self, opened: OpenWave, now: float) -> None:
        """Have a whole wave committed, unless another driver was first."""
        if self._outlook.knows(opened.wave):
            self.in_vain += 1
            self._ahead.close(opened, (), Counts(asked=0, kept=0))
            self._flight.close(opened)
            return
        rows = judged_rows(self._run, opened)
        kept = [n.candidate for n in rows.nodes if n.verdict.kept and n.candidate.level]
        frontier = frontier_of(self._run, opened.parents, kept)
        manifest = self._manifest(opened, rows, len(frontier), now)
        commit = partial(commit_wave, self._ledger, manifest, rows, self._run.curation)
        self._commits.begin(Whole(opened, frontier, time.monotonic()), commit)

    def _landed(self, whole: Whole, manifest: Manifest) -> None:
        """A wave is committed; where another driver was first, go on from its rows."""
        opened, frontier, judged_at = whole
        self._watch.landed(time.monotonic() - judged_at)
        ours = manifest.attempt == self._name
        if not ours:
            theirs = kept_rows(self._store, manifest)
            frontier = frontier_of(self._run, opened.parents, theirs)
        self._lineage.hold(opened.wave, frontier)
        self._ahead.close(opened, frontier, manifest.counts)
        self._flight.close(opened)
        self.in_vain += not ours
        self._outlook.book(manifest, ours=ours)

    def _manifest(self, opened: OpenWave, rows: WaveRows, frontier: int, now: float) -> Manifest:
        """Of a whole wave, as it is before its shards are written."""
        return Manifest(
            run_id=self._run.run_id,
            wave=opened.wave.name,
            attempt=self._name,
            epoch=self._ledger.epoch_of(opened.wave.name),
            shards=(),
            counts=count(opened, rows, unused_tokens=self._ahead.take_unused_tokens()),
            frontier=frontier,
            started_at=opened.opened_at,
            finished_at=max(now, opened.opened_at),
            software=tuple(map(software, self._pool.reports())),
            # They come and go slowly, beside what a wave takes.
            gpus=(opened.gpus + self._pool.stats().gpus) / 2,
        )

    def _check_failures(self, allowed: float) -> None:
        flight = self._flight
        if flight.answered < ENOUGH_ANSWERS or flight.failed <= allowed * flight.answered:
            return
        raise self._failed(f"more than the share of {allowed} that `max_failed_share` allows")

    def _failed(self, why: str) -> FailureShareExceeded:
        flight = self._flight
        return FailureShareExceeded(
            f"{self._store.location}: {flight.failed} of {flight.answered} requests failed; {why} "
            f"(execution section). The last one: {flight.last_failure} Mend the cause and start "
            "the same command again to continue."
        )


def commit_wave(
    ledger: Ledger, ours: Manifest, rows: WaveRows, notes: Mapping[str, str]
) -> Manifest:
    """Write the shards of a wave, then make it real by its manifest; the one that counts."""
    place = ShardPlace(ours.run_id, ours.wave, ours.attempt)
    shards = write_shards(ledger.store, place, rows, notes)
    winner = ledger.commit(ours.model_copy(update={"shards": shards}))
    if winner.attempt != ours.attempt:
        log.info("wave %s was committed by attempt %s first", ours.wave, winner.attempt)
        ledger.discard(shards)
    return winner


def even_clock() -> Callable[[], float]:
    """The time of day as it is now; it passes evenly, even where the machine's clock is set."""
    ahead = time.time() - time.monotonic()
    return lambda: ahead + time.monotonic()


def software(report: EngineReport) -> Software:
    """An engine's report as manifests keep it."""
    return Software(
        backend=report.backend,
        backend_version=report.backend_version,
        torch=report.torch,
        device=report.device,
        dtype=report.dtype,
        sampler=report.sampler,
    )
