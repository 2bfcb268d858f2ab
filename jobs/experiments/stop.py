"""How an experiment is stopped: the process that works is told to save what it has and to end."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from jobs.signals import taken
from schemas.errors import Evicted, Interrupted

Stop = Callable[[bool], None]
"""Ends what is running; with True at once."""


class Stopping:
    """SIGINT and SIGTERM: what runs comes to an end by itself; once more ends it at once."""

    def __init__(self) -> None:
        self._asked: list[int] = []
        self._stops: tuple[Stop, ...] = ()

    @contextmanager
    def listening(self, *stops: Stop) -> Iterator[None]:
        """Take the signals over, and pass them on to what can be stopped."""
        self._stops = stops
        with taken(self._on_signal):
            yield

    def heed(self) -> None:
        """Raise where a stop was asked for."""
        if not self._asked:
            return
        words = "what is done stays, and the same command continues the experiment."
        if signal.SIGTERM in self._asked:
            raise Evicted(f"Stopped by SIGTERM; {words}")
        raise Interrupted(f"Stopped as asked; {words}")

    def _on_signal(self, number: int) -> None:
        self._asked.append(number)
        for stop in self._stops:
            stop(len(self._asked) > 1)
