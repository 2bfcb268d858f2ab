"""The loop: open ready waves, collect outcomes, commit what is whole, until nothing remains.

It owns the state of one attempt and nothing that matters beyond it: a wave exists when its
manifest does, and a killed driver loses only the waves in flight. It names no backend.
"""

import logging
import time
from collections import Counter
from collections.abc import Callable, Sequence

from pipeline.curate.curate import curate
from pipeline.flight import Flight, OpenWave, Pace
from pipeline.lineage import Lineage, kept_rows
from pipeline.plan.agenda import Agenda
from pipeline.plan.plan import make_plan
from pipeline.pool.pool import Pool
from pipeline.storage.ledger import Ledger
from pipeline.storage.shards import write_shards
from pipeline.storage.store import Store
from pipeline.tree.expand import attach, expand
from pipeline.tree.frontier import frontier_of, root_candidate
from pipeline.tree.run import Run
from pipeline.watch import Stop, Watch
from schemas.errors import FailureShareExceeded, Interrupted
from schemas.manifest import Counts, Manifest, Software
from schemas.records import KEEP, Completion, EngineReport, Node
from schemas.wave_id import WaveId

log = logging.getLogger(__name__)

TICK_S = 0.5
ENOUGH_ANSWERS = 100
"""Below so many outcomes a share of failures says nothing."""


class Attempt:
    """One process's try at a run."""

    def __init__(
        self, run: Run, name: str, *, store: Store, pool: Pool, pace: Pace, watch: Watch
    ) -> None:
        self._run, self._name = run, name
        self._store, self._pool, self._pace, self._watch = store, pool, pace, watch
        self._plan = make_plan(run.spec, run.recipe)
        self._ledger = Ledger(store)
        self._lineage = Lineage(run, self._plan, store)
        self._flight = Flight()

    def generate(self, *, max_failed_share: float, clock: Callable[[], float] = time.time) -> None:
        """Grow until every planned wave is committed, or raise; what is committed stays."""
        committed = {name: m.frontier for name, m in self._ledger.all().items()}
        agenda = Agenda(self._run.spec, self._run.recipe, self._plan, committed)
        while self._fill(agenda, clock):
            for opened in self._flight.settle(self._pool.collect(TICK_S)):
                agenda.commit(opened.wave, self._close(opened, clock()).frontier)
            self._watch.tick(self._pool.stats(), open_waves=self._flight.waves)
            self._check_failures(max_failed_share)

    def _fill(self, agenda: Agenda, clock: Callable[[], float]) -> bool:
        """Open ready waves while there is room; False when none is open and none remains."""
        while (stop := self._watch.stop()) is Stop.NO and self._has_room():
            wave = agenda.next()
            if wave is None:
                break
            winner = self._ledger.read(wave.name)
            if winner is None:
                self._open(wave, clock())
            else:
                self._watch.committed(winner, ours=False)
                agenda.commit(wave, winner.frontier)
        if stop is Stop.ABANDON or (stop is Stop.DRAIN and not self._flight.waves):
            self._pool.abandon()
            raise Interrupted(
                f"{self._store.location}: stopped as asked, {self._flight.waves} waves in flight "
                "dropped; what is committed stays, and the same command continues the run."
            )
        return self._flight.waves > 0

    def _has_room(self) -> bool:
        return self._pace.has_room(self._flight.waves, self._flight.pending)

    def _open(self, wave: WaveId, now: float) -> None:
        rule = self._run.recipe.rule(self._run.spec, wave.level)
        parents = self._lineage.parents(wave)
        requests = expand(self._run, wave.name, parents, rule)
        self._flight.open(OpenWave(wave, rule, parents, requests, now))
        self._pool.submit(requests)

    def _close(self, opened: OpenWave, now: float) -> Manifest:
        """Commit a whole wave; where another driver was first, go on from its rows."""
        nodes = self._judge(opened)
        kept = [node.candidate for node in nodes if node.verdict.kept and node.candidate.level]
        frontier = frontier_of(self._run, opened.parents, kept)
        manifest = self._commit(opened, nodes, len(frontier), now)
        ours = manifest.attempt == self._name
        if not ours:
            theirs = kept_rows(self._store, manifest)
            frontier = frontier_of(self._run, opened.parents, theirs)
        self._lineage.hold(opened.wave, frontier)
        self._watch.committed(manifest, ours=ours)
        return manifest

    def _judge(self, opened: OpenWave) -> list[Node]:
        """The rows of a wave, a cohort's roots before its openings."""
        run, rule = self._run, opened.rule
        candidates = attach(run, opened.parents, opened.requests, opened.outcomes, rule)
        verdicts = curate(
            candidates, fanout=rule.fanout, spec=run.spec.curation, dialect=run.dialect
        )
        nodes = list(map(Node, candidates, verdicts))
        if opened.wave.level > 1:
            return nodes
        roots = [Node(root_candidate(run, parent.tree_id), KEEP) for parent in opened.parents]
        return sorted(roots + nodes, key=lambda n: (n.candidate.tree_id, n.candidate.path))

    def _commit(self, opened: OpenWave, nodes: list[Node], frontier: int, now: float) -> Manifest:
        wave = opened.wave.name
        shards = write_shards(
            self._store, run_id=self._run.run_id, wave=wave, attempt=self._name, nodes=nodes
        )
        ours = Manifest(
            run_id=self._run.run_id,
            wave=wave,
            attempt=self._name,
            shards=shards,
            counts=count(opened, nodes),
            frontier=frontier,
            started_at=opened.opened_at,
            finished_at=now,
            software=tuple(map(software, self._pool.reports())),
        )
        winner = self._ledger.commit(ours)
        if winner.attempt != self._name:
            log.info("wave %s was committed by attempt %s first", wave, winner.attempt)
            self._ledger.discard(shards)
        return winner

    def _check_failures(self, allowed: float) -> None:
        flight = self._flight
        if flight.answered < ENOUGH_ANSWERS or flight.failed <= allowed * flight.answered:
            return
        raise FailureShareExceeded(
            f"{self._store.location}: {flight.failed} of {flight.answered} requests failed, more "
            f"than the share of {allowed} that execution.max_failed_share allows. The last one: "
            f"{flight.last_failure} Mend the cause and start the same command again to continue."
        )


def count(opened: OpenWave, nodes: Sequence[Node]) -> Counts:
    """What became of a wave's candidates."""
    reasons = Counter(n.verdict.drop_reason for n in nodes if n.candidate.level)
    kept = reasons.pop(None, 0)
    answered = [o for o in opened.outcomes.values() if isinstance(o, Completion)]
    return Counts(
        asked=opened.asked,
        kept=kept,
        dropped={reason: n for reason, n in sorted(reasons.items()) if reason},
        prompt_tokens=sum(len(request.prompt) * request.n for request in opened.requests),
        output_tokens=sum(len(outcome.token_ids) for outcome in answered),
    )


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
