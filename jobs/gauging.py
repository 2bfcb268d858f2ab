"""What one driver measures of itself: for its heartbeats, for Prometheus, and for who looks on."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from pipeline.metrics.meter import Meter, NoMeter
from pipeline.metrics.rates import Rate, Totals
from pipeline.metrics.tell import Gauged, Teller
from pipeline.metrics.uses import Uses
from pipeline.pool.pool import PoolStats
from pipeline.report.status import Status
from schemas.claim import Headway
from schemas.engine_use import EngineUse
from schemas.execution_spec import BudgetSpec
from schemas.manifest import Manifest

TELL_S = 1.0
"""Between two looks at how it stands: each costs by engine."""


class Gauging:
    """The count that a driver keeps of its own work."""

    def __init__(
        self,
        retries: Callable[[], int] = lambda: 0,
        budget: BudgetSpec | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`retries` is the store's count of them."""
        self._retries, self._budget, self._clock = retries, budget or BudgetSpec(), clock
        self._teller = Teller(NoMeter())
        self._totals, self._rate = Totals(), Rate()
        self._uses = Uses(clock())
        self._waves = self._asked = self._failed = 0
        self._told = float("-inf")
        self._last: tuple[PoolStats, int, Callable[[], Status]] | None = None
        """What was seen last, told or not."""
        self._headway: Headway | None = None
        self._changing = threading.Lock()
        self.alone = True
        """Whether no other driver has committed anything since this one began."""

    @contextmanager
    def telling(self, meter: Meter) -> Iterator[None]:
        """Inside, there are engines, and a meter to tell."""
        self._teller.meter, self._uses = meter, Uses(self._clock())
        try:
            yield
        finally:
            if self._last is not None:
                self._look(*self._last)
                self._teller.let_go()
            self._last, self._teller.meter = None, NoMeter()
            self._totals.forget()
            self._rate = Rate()
            with self._changing:
                self._headway = None

    @property
    def tokens_per_s(self) -> float | None:
        """What engines sampled within the last minute; None while that cannot be told."""
        return self._rate.per_s

    def uses(self) -> tuple[EngineUse, ...]:
        """What each engine did since engines were loaded last."""
        return self._uses.found()

    def headway(self) -> Headway | None:
        """How it gets on; None while there are no engines. For any thread."""
        with self._changing:
            return self._headway

    def committed(self, manifest: Manifest, *, ours: bool) -> None:
        """A wave is in the ledger."""
        if not ours:
            self.alone = False
            return
        self._waves += 1
        self._asked += manifest.counts.asked
        self._failed += manifest.counts.num_failed
        self._teller.wave(manifest)

    def landed(self, seconds: float) -> None:
        """A commit took so long."""
        self._teller.commit(seconds)

    def seen(self, stats: PoolStats, open_waves: int, status: Callable[[], Status]) -> None:
        """How the pool stands; looked at now and again only."""
        self._last = (stats, open_waves, status)
        if self._clock() >= self._told + TELL_S:
            self._look(*self._last)

    def _look(self, stats: PoolStats, open_waves: int, status: Callable[[], Status]) -> None:
        now = self._clock()
        self._totals.see(stats.engines)
        self._uses.see(now, stats.engines)
        self._told = now
        self._rate.see(now, self._totals.tokens.sampled)
        headway = self._as_headway(stats, open_waves)
        with self._changing:
            self._headway = headway
        self._teller.standing(self._gauged(stats, open_waves, status()))

    def left_s(self, status: Status) -> float | None:
        """Until the run ends: at the speed of late where this driver makes all of it, else, and
        until that is known, at the mean speed of the run so far."""
        speed = self.tokens_per_s if self.alone else None
        return status.eta_s if speed is None else status.eta_at(speed)

    def _as_headway(self, stats: PoolStats, open_waves: int) -> Headway:
        return Headway(
            live=len(stats.engines),
            loading=stats.loading,
            waiting=stats.waiting,
            replaced=stats.restarts + stats.machine_restarts,
            waves_open=open_waves,
            waves=self._waves,
            asked=self._asked,
            failed=self._failed,
            tokens_per_s=self._rate.per_s,
            over_s=self._rate.over_s,
            budget=self._budget,
        )

    def _gauged(self, stats: PoolStats, open_waves: int, status: Status) -> Gauged:
        engines, expected = stats.engines.values(), status.expected_candidates
        return Gauged(
            engines={
                "live": len(engines),
                "loading": stats.loading,
                "waiting": stats.waiting,
            },
            sequences={
                "running": sum(one.running for one in engines),
                "waiting": sum(one.waiting for one in engines),
            },
            replaced={"engine": stats.restarts, "machine": stats.machine_restarts},
            requeued=stats.requeued,
            retries=self._retries(),
            tokens=self._totals.tokens,
            waves_open=open_waves,
            progress=min(1.0, status.asked / expected) if expected else 0.0,
            left_s=self.left_s(status),
        )
