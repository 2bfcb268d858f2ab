"""One engine and the one thread that makes, starts, feeds and steps it.

Engines hold state that belongs to a thread, so no other thread ever touches the engine: callers
meet it through an inbox and an outbox. Whatever the engine raises ends the thread, and is what
the next caller gets.
"""

import logging
import threading
from collections.abc import Callable, Sequence
from typing import NamedTuple

from pipeline.engines.engine import Engine
from pipeline.pool.pool import EngineFactory
from schemas.errors import ArboristError, EngineError
from schemas.records import EngineReport, EngineStats, Outcome, Request

_log = logging.getLogger(__name__)


class Exchange(NamedTuple):
    """What an engine finished since it was last asked, and its counters."""

    outcomes: list[Outcome]
    stats: EngineStats


class EngineLoop:
    """Runs one engine until it is closed or dies."""

    def __init__(
        self,
        make_engine: EngineFactory,
        incarnation: int,
        *,
        wake: Callable[[], None] | None = None,
    ) -> None:
        """`wake` is called, on the engine's thread, whenever there is something to collect."""
        self._make_engine = make_engine
        self._incarnation = incarnation
        self._wake = wake or _nothing
        self._changed = threading.Condition()
        self._inbox: list[Request] = []
        self._outbox: list[Outcome] = []
        self._report: EngineReport | None = None
        self._stats = EngineStats()
        self._busy = False
        """Whether the engine has work, as far as its thread has told."""
        self._closing = False
        self._error: ArboristError | None = None
        self._thread = threading.Thread(target=self._run, name=f"engine-{incarnation}", daemon=True)
        self._thread.start()

    def start_report(self, timeout_s: float) -> EngineReport | None:
        """What the engine loaded; None while it is still loading. Raises what ended it."""
        with self._changed:
            self._changed.wait_for(lambda: self._report or self._error, timeout_s)
            self._raise_error()
            return self._report

    def put(self, requests: Sequence[Request]) -> None:
        """Hand requests to the engine, without waiting."""
        with self._changed:
            self._inbox.extend(requests)
            self._busy = self._busy or bool(requests)
            self._changed.notify_all()

    def exchange(
        self, requests: Sequence[Request], wait_s: float, *, linger_s: float = 0.0
    ) -> Exchange:
        """Put requests in; wait for outcomes up to `wait_s`, then `linger_s` for more of them.

        Does not linger when the engine has run out of work.
        """
        self.put(requests)
        with self._changed:
            if self._changed.wait_for(lambda: self._outbox or self._error, wait_s):
                self._changed.wait_for(lambda: not self._busy or self._error, linger_s)
            outcomes, self._outbox = self._outbox, []
            if not outcomes:
                self._raise_error()
            return Exchange(outcomes, self._stats)

    def close(self, timeout_s: float = 0.0) -> bool:
        """Ask the thread to free the device and end; whether it did within the time."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _raise_error(self) -> None:
        if self._error:
            raise self._error

    # On the engine's thread.

    def _run(self) -> None:
        try:
            self._serve(self._make_engine(self._incarnation))
        except ArboristError as error:
            self._end(error)
        # The engine is foreign code, and its thread has no caller who could see what it raises.
        except Exception as error:  # noqa: BLE001
            _log.warning("engine incarnation %d died", self._incarnation, exc_info=True)
            self._end(_died(error))
        else:
            self._end(EngineError("the engine was closed; start a new one"))

    def _end(self, error: ArboristError) -> None:
        with self._changed:
            self._error = error
            self._changed.notify_all()
        self._wake()

    def _serve(self, engine: Engine) -> None:
        try:
            report = engine.start()
            with self._changed:
                self._report, self._stats = report, engine.stats()
                self._changed.notify_all()
            self._wake()
            while (requests := self._next_requests(engine)) is not None:
                for request in requests:
                    engine.add(request)
                self._hand_out(engine, engine.step())
        finally:
            engine.close()

    def _next_requests(self, engine: Engine) -> list[Request] | None:
        """New requests, waiting for some if the engine is idle; None when it shall close."""
        idle = not engine.has_work()
        with self._changed:
            if idle:
                self._changed.wait_for(lambda: self._inbox or self._closing)
            requests, self._inbox = self._inbox, []
            return None if self._closing else requests

    def _hand_out(self, engine: Engine, outcomes: list[Outcome]) -> None:
        stats, busy = engine.stats(), engine.has_work()
        with self._changed:
            self._outbox.extend(outcomes)
            self._stats = stats
            self._busy = busy or bool(self._inbox)
            if outcomes or not self._busy:
                self._changed.notify_all()
        if outcomes:
            self._wake()


def _nothing() -> None:
    pass


def _died(error: Exception) -> EngineError:
    wrapped = EngineError(f"{type(error).__name__}: {error}")
    wrapped.__cause__ = error
    return wrapped
