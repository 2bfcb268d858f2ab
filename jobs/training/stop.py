"""How a person or a scheduler stops a training: a checkpoint first, and once more at once."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager

from jobs.signals import answer, taken
from schemas.errors import Evicted, Interrupted


class TrainingStop:
    """SIGINT and SIGTERM: while steps are made they are noted, to be asked for after each. At any
    other time, and when they come once more, they end what goes on at once."""

    def __init__(self) -> None:
        self._asked: list[int] = []
        self._between_steps = False

    @property
    def asked(self) -> bool:
        """Whether to save a checkpoint and stop."""
        return bool(self._asked)

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Take the signals over; say which one it was that ended it."""
        with taken(self._on_signal):
            try:
                yield
            except Interrupted as error:
                raise self._error(str(error)) from error
            except KeyboardInterrupt:
                words = "Stopped at once; the same command goes on from the last checkpoint."
                raise self._error(words) from None

    @contextmanager
    def noted(self) -> Iterator[None]:
        """Inside, who is told to stop asks for it, and is not ended."""
        self._between_steps = True
        try:
            yield
        finally:
            self._between_steps = False

    def _on_signal(self, number: int) -> None:
        again = self.asked
        self._asked.append(number)
        if again or not self._between_steps:
            raise KeyboardInterrupt
        answer("saving a checkpoint to stop; once more stops at once")

    def _error(self, words: str) -> Interrupted:
        return Evicted(words) if signal.SIGTERM in self._asked else Interrupted(words)
