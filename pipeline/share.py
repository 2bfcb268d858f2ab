"""One driver's share of a run: it lets itself be heard of, claims cohorts, and knows the others.

All of it is advice (see `claims`): where it fails to keep drivers apart, the ledger decides which
of them made a wave, and the other one worked in vain.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

from pipeline.claims.claims import Claims
from pipeline.claims.drivers import ENDED, Drivers, Now
from pipeline.storage.claims import (
    FoundClaim,
    create_claim,
    create_heartbeat,
    read_claims,
    read_heartbeats,
)
from pipeline.storage.store import Store
from pipeline.watch import Awaited
from schemas.claim import Claim, Driver, Headway, Heartbeat, State
from schemas.errors import LocationError, StoreError

log = logging.getLogger(__name__)

BEATS = 3
"""Heartbeats within the time after which a silent driver is taken for dead."""
OFTEN_S = 5.0
"""How often one that waits looks at the others, at least."""


class Clocks(NamedTuple):
    """Of one driver."""

    day: Callable[[], float]
    """The time of day, for others to read."""
    even: Callable[[], float] = time.monotonic


class Share:
    """What a driver holds of a run."""

    def __init__(
        self,
        store: Store,
        me: Driver,
        is_gone: Callable[[Driver], bool],
        clocks: Clocks,
        headway: Callable[[], Headway | None] = lambda: None,
    ) -> None:
        """`headway` is asked at every heartbeat, from any thread."""
        self._store, self.me, self._clocks, self._headway = store, me, clocks, headway
        self._drivers, self._claims = Drivers(is_gone), Claims(me.attempt)
        self._living: frozenset[str] = frozenset()
        self._mourned: set[str] = set()
        """Dead drivers that were told of."""
        self._next = 0
        """The number of the next heartbeat."""
        self._due = 0.0
        """When that is to come, by the even clock."""
        self._state: State | None = None
        """As others were told last."""
        self._is_whole: Callable[[int], bool] = lambda cohort: False
        self._beating = threading.Lock()

    @property
    def beat_s(self) -> float:
        """Between two heartbeats."""
        return self.me.claim_s / BEATS

    @property
    def company(self) -> bool:
        """Whether others worked on the run when that was looked for last."""
        return not self._living <= {self.me.attempt}

    @property
    def reach(self) -> int:
        """One more than the highest cohort that somebody works on who lives."""
        return self._claims.reach(self._living)

    def holds(self, cohort: int) -> bool:
        """Whether a cohort is this driver's, as far as it knows."""
        return self._claims.is_ours(cohort)

    def take(self, cohort: int) -> bool:
        """Claim a cohort, or take it over from a dead driver; False where another one works on it,
        which costs no request where that is known."""
        if self.holds(cohort):
            return True
        number = self._claims.free_number(cohort, self._living)
        if number is None:
            return False
        self._mourn(self._claims.holder(cohort))
        ours = Claim(cohort=cohort, number=number, driver=self.me, made_at=self._clocks.day())
        self._learn(create_claim(self._store, ours))
        if not self.holds(cohort):
            # Others are about: learn what else they took, instead of asking for one by one.
            self.look()
        return self.holds(cohort)

    def _mourn(self, attempt: str | None) -> None:
        """Say once whose cohorts are taken over, and why."""
        if attempt is None or attempt in self._mourned:
            return
        self._mourned.add(attempt)
        driver, why = self._drivers.known(attempt), self._drivers.death(attempt, self._now())
        level = logging.INFO if why == ENDED else logging.WARNING
        host = driver.host if driver else "an unknown host"
        log.log(level, "driver %s on %s: %s; what it claimed is taken over", attempt, host, why)

    def tend(self, state: State = "growing") -> bool:
        """Let ourselves be heard of if it is time, and listen; whether others are to be looked at
        more closely."""
        if self._clocks.even() < self._due and state == self._state:
            return False
        before = self.company
        self._beat(state)
        self._listen()
        return before or self.company

    def look(self, is_whole: Callable[[int], bool] | None = None) -> None:
        """Learn who lives and who claimed what; nobody asks about cohorts that are whole."""
        self._is_whole = is_whole or self._is_whole
        # Claims first: whoever made one was heard of before.
        for found in read_claims(self._store, self._known_of):
            self._learn(found)
        self._listen()

    def _known_of(self, cohort: int) -> int | None:
        return None if self._is_whole(cohort) else self._claims.number_of(cohort)

    def awaited(self, cohorts: Iterable[int]) -> list[Awaited]:
        """Who works on these cohorts, by what is known."""
        by_holder: dict[str | None, list[int]] = {}
        for cohort in cohorts:
            by_holder.setdefault(self._claims.holder(cohort), []).append(cohort)
        return [
            Awaited(self._drivers.known(holder) if holder else None, tuple(held))
            for holder, held in by_holder.items()
        ]

    def patience_s(self, others: Iterable[Awaited]) -> float:
        """How long to wait for others until something may have changed."""
        now = self._now()
        silent = (self._drivers.patience_s(o.driver.attempt, now) for o in others if o.driver)
        return min([self.beat_s, OFTEN_S, *silent])

    @contextmanager
    def kept(self, state: State) -> Iterator[None]:
        """Inside, where nobody tends it, it is heard of nevertheless: what goes on there has a
        time limit of its own, so nobody has to conclude from silence that it hangs."""
        self._beat(state)
        done = threading.Event()
        threading.Thread(target=self._beat_until, args=(done, state), daemon=True).start()
        try:
            yield
        finally:
            done.set()

    def end(self) -> None:
        """Give up all claims; others need not wait for us to be taken for dead."""
        if self._state is None:
            return
        try:
            self._beat("ended")
        except (StoreError, LocationError) as error:
            log.warning("%s: others will wait for this driver: %s", self._store.location, error)

    def _beat_until(self, done: threading.Event, state: State) -> None:
        while not done.wait(self.beat_s):
            try:
                self._beat(state, unless=done)
            except (StoreError, LocationError) as error:
                # It ends the driver where that comes to it in its own thread.
                log.warning("%s: cannot be heard of: %s", self._store.location, error)

    def _beat(self, state: State, unless: threading.Event | None = None) -> None:
        with self._beating:
            if self._state == "ended" or (unless is not None and unless.is_set()):
                return
            now = self._now()
            heartbeat = Heartbeat(
                driver=self.me,
                number=self._next,
                at=now.day,
                state=state,
                headway=None if state == "ended" else self._headway(),
            )
            create_heartbeat(self._store, heartbeat)
            self._drivers.hear(heartbeat, now)
            self._next, self._due = self._next + 1, now.even + self.beat_s
            self._state = state

    def _listen(self) -> None:
        for heartbeat in read_heartbeats(self._store, self._drivers.number_of):
            self._drivers.hear(heartbeat, self._now())
        self._living = self._drivers.living(self._now())

    def _learn(self, found: FoundClaim) -> None:
        holder = None
        if found.claim is not None:
            holder = found.claim.driver.attempt
            self._drivers.meet(found.claim, self._now())
        self._claims.learn(found.cohort, found.number, holder)

    def _now(self) -> Now:
        return Now(self._clocks.even(), self._clocks.day())
