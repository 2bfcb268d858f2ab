"""The two signals that ask a command to stop."""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

_STDERR = 2


@contextmanager
def taken(handler: Callable[[int], None]) -> Iterator[None]:
    """Take the signals over, and give them back."""
    with ExitStack() as before:
        for number in (signal.SIGINT, signal.SIGTERM):
            earlier = signal.signal(number, lambda number, frame: handler(number))
            before.callback(signal.signal, number, earlier)
        yield


def answer(words: str) -> None:
    """Tell what becomes of a signal, from within its handler."""
    # Not print, which must not be entered again while it prints.
    os.write(_STDERR, f"\narborist: {words}\n".encode())
