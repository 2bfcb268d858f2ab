"""How a person or a scheduler stops a run: the signals, and what they ask for.

While waves are in flight, signals only note what was asked, and the loop heeds it between two
moves. At any other time (planning, loading, sealing) there is nothing to finish, so they end what
is going on at once, wherever it is; so they do once waves are to be dropped, whatever holds it up.
"""

import math
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from jobs.signals import answer, taken
from pipeline.watch import Stop
from schemas.errors import ArboristError, Evicted, Interrupted

_LEAST_S = 2.0
"""What engines get to free their devices, where a scheduler is about to kill."""


class _Ended(KeyboardInterrupt):
    """Ends what the main thread does; no `except Exception` holds it up. It is one that compiled
    code passes on: Ray's knows no other, and raises a plain one in its place."""


class StopSwitch:
    """SIGINT: finish the waves in flight; once more drops them. SIGTERM: the machine is taken away
    and leaves `grace_s` for that; once more drops them. Any further one ends what goes on."""

    def __init__(self, grace_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._grace_s, self._clock = grace_s, clock
        self._stop = Stop.NO
        self._deadline = 0.0
        self._at_once = True

    @property
    def stop(self) -> Stop:
        """What is asked by now."""
        if self._stop is Stop.LEAVE and self._clock() >= self._deadline:
            self._stop = Stop.EVICT
        return self._stop

    @property
    def patience_s(self) -> float:
        """How long engines may take to close: what the scheduler leaves, if it is one that asks."""
        if self.stop is Stop.LEAVE:
            return max(_LEAST_S, self._deadline - self._clock())
        return _LEAST_S if self._stop is Stop.EVICT else math.inf

    def ask(self, number: int) -> str:
        """Take a signal; what becomes of it, in words."""
        evicted = number == signal.SIGTERM or self._stop in (Stop.LEAVE, Stop.EVICT)
        first, again = (Stop.LEAVE, Stop.EVICT) if evicted else (Stop.DRAIN, Stop.ABANDON)
        if self._stop is first or self._stop.drops:
            self._stop = again
            return "dropping the waves in flight; once more ends at once"
        self._stop = first
        self._deadline = self._clock() + self._grace_s
        limit = f" for at most {self._grace_s:g} s" if evicted else ""
        return f"finishing the waves in flight{limit}; once more drops them"

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Inside, who is told to stop is ended, with an error that says how."""
        with taken(self._on_signal):
            try:
                yield
                self._end_if_asked()
            except KeyboardInterrupt:
                raise self._error() from None
            except ArboristError as error:
                if self.stop not in (Stop.LEAVE, Stop.EVICT) or isinstance(error, Interrupted):
                    raise
                words = _evicted("with no wave in flight")
                raise Evicted(f"{words} On the way out: {error}") from error

    @contextmanager
    def heeded(self) -> Iterator[None]:
        """Inside, who is told to stop asks for it, and is not ended."""
        self._at_once = False
        try:
            yield
        finally:
            self._at_once = True
        self._end_if_asked()

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """Inside what is `heeded`, something that cannot ask."""
        self._at_once = True
        try:
            self._end_if_asked()
            yield
        finally:
            self._at_once = False

    def _on_signal(self, number: int) -> None:
        dropped = self.stop.drops
        ending = dropped or (self._at_once and self._stop is Stop.NO)
        words = self.ask(number)
        if dropped:
            words = "at once"
        if dropped or not self._at_once:
            answer(f"stopping, {words}")
        if ending:
            raise _Ended

    def _end_if_asked(self) -> None:
        if self._stop is not Stop.NO:
            raise _Ended

    def _error(self) -> Interrupted:
        how = "at once" if self._stop.drops else "with no wave in flight"
        if self._stop in (Stop.LEAVE, Stop.EVICT):
            return Evicted(_evicted(how))
        return Interrupted(f"Stopped as asked, {how}; the same command continues the run.")


def _evicted(how: str) -> str:
    return (
        f"Stopped by SIGTERM {how}; what is committed stays, and the same command continues the "
        "run, here or on another machine."
    )
