"""What one driver knows of a run: what is committed by whomever, what is left, who works on it.

Others are looked at as often as this driver lets itself be heard of, and not at all while there
are none. So what it knows of them is a little old, and the ledger is asked again before a wave is
opened.
"""

import time
from collections.abc import Callable, Mapping
from typing import NamedTuple

from pipeline.plan.agenda import Agenda
from pipeline.plan.budget import Admission, Held, Limit
from pipeline.plan.plan import Plan
from pipeline.share import Share
from pipeline.storage.ledger import Ledger
from pipeline.storage.repairs import read_repairs
from pipeline.tree.run import Run
from pipeline.watch import Watch
from schemas.errors import CorruptData
from schemas.execution_spec import BudgetSpec
from schemas.manifest import Manifest
from schemas.wave_id import WaveId

MOST = 0.1
"""The share of its time that a driver spends on looking at others."""


class Limits(NamedTuple):
    """When an attempt ends before the run does."""

    max_failed_share: float
    budget: BudgetSpec
    drivers: int = 1
    """That share the run: each holds at most its part of the cohorts that remain."""


class Outlook:
    """The state of a run as one driver sees it."""

    def __init__(self, run: Run, plan: Plan, ledger: Ledger, share: Share, watch: Watch) -> None:
        self._run, self._plan, self._ledger = run, plan, ledger
        self._share, self._watch = share, watch
        self.agenda: Agenda
        self._admission: Admission
        self._clock: Callable[[], float]
        self._idle_since: float | None = None
        """When engines were let go; None while they are held."""
        self._known: set[str] = set()
        """Waves that are committed."""
        self.fruitful = False
        """Whether any request of the run has succeeded, or none needs to."""
        self._looked_at, self._look_s = 0.0, 0.0
        """When others were looked at last, and how long that took."""

    def begin(
        self, before: Mapping[str, Manifest], limits: Limits, clock: Callable[[], float]
    ) -> None:
        """Take in the ledger by wave, and who else works on the run."""
        run, plan = self._run, self._plan
        self._clock, self._idle_since = clock, clock()
        self.fruitful = limits.max_failed_share >= 1
        self._admission = Admission(limits.budget, run.spec, run.recipe, plan)
        self.agenda = Agenda(
            run.spec, run.recipe, plan, self._share, drivers=limits.drivers, admits=self._admits
        )
        for name in sorted(before, key=WaveId.parse):
            self._take_in(before[name])
        if not self.agenda.is_done:
            self._look()

    def hold(self, attempt: str, gpu_s: Callable[[], float]) -> None:
        """From now on engines are held: their time counts."""
        self._idle_since = None
        self._admission.hold(Held(attempt, 0.0, self._clock(), gpu_s))

    def release(self) -> None:
        """They are let go."""
        self._idle_since = self._clock()

    def limits(self) -> tuple[Limit, ...]:
        """The budget, and what is spent of it, by what is known."""
        return self._admission.limits(self._now())

    def knows(self, wave: WaveId) -> bool:
        """Whether a wave is known to be committed."""
        return wave.name in self._known

    def book(self, manifest: Manifest, *, ours: bool) -> None:
        """A wave is committed, by whomever; what is known already says nothing."""
        if manifest.wave not in self._known:
            self._watch.committed(manifest, ours=ours)
            self._take_in(manifest)

    def keep_up(self) -> None:
        """Be heard of, and look at others, where it is time."""
        age_s = time.monotonic() - self._looked_at
        if self._share.tend() and age_s >= self._look_s / MOST:
            self.catch_up()

    def catch_up(self) -> None:
        """Learn what others have done, and what they are doing."""
        begun = time.monotonic()
        # Named so that they sort as the tree of waves does, those above before those below.
        news = self._ledger.news(self._known)
        for name in sorted(news, key=WaveId.parse):
            # A commit of ours may be on its way here.
            self.book(news[name], ours=news[name].attempt == self._share.me.attempt)
        self._look()
        self._look_s = time.monotonic() - begun

    def require_no_repair(self) -> None:
        """Whoever waits for others must know what counts."""
        last = read_repairs(self._ledger.store).last
        if last != self._ledger.repairs.last:
            raise CorruptData(
                f"{self._ledger.store.location}: repair {last} came while this driver waited for "
                "others; start the same command again, which makes again what was retired."
            )

    def _take_in(self, manifest: Manifest) -> None:
        self._known.add(manifest.wave)
        # Whether any of its requests has succeeded.
        self.fruitful = self.fruitful or manifest.counts.num_failed < manifest.counts.asked
        self._admission.book(manifest)
        self.agenda.commit(WaveId.parse(manifest.wave), manifest.frontier)

    def _look(self) -> None:
        self._share.look(self.agenda.is_whole)
        self._looked_at = time.monotonic()

    def _admits(self) -> bool:
        # Those that others hold count as well.
        self._admission.expect(self.agenda.begun)
        return self._admission.admits(self._now())

    def _now(self) -> float:
        """Time stands still while no engine is held."""
        return self._clock() if self._idle_since is None else self._idle_since
