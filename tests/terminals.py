"""A terminal of this process's own, and all that was written to it."""

import os
import pty
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

import pytest

_DECIDES = ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE", "JPY_PARENT_PID")
"""Variables by which programs take a terminal for another one than it is."""


@contextmanager
def terminal(
    patch: pytest.MonkeyPatch, columns: int = 80, **environment: str
) -> Iterator[tuple[TextIO, list[str]]]:
    """One of so many columns; the list has what was written once it is closed."""
    for name in _DECIDES:
        patch.delenv(name, raising=False)
    for name, value in ({"TERM": "xterm", "COLUMNS": str(columns)} | environment).items():
        patch.setenv(name, value)
    ours, theirs = pty.openpty()
    said: list[str] = []
    with open(theirs, "w", encoding="utf-8") as out:
        yield out, said
    said.append(_read_all(ours).decode())
    os.close(ours)


def _read_all(end: int) -> bytes:
    """Until its other end is closed, which Linux tells by an error."""
    pieces = []
    while True:
        try:
            piece = os.read(end, 65536)
        except OSError:
            piece = b""
        if not piece:
            return b"".join(pieces)
        pieces.append(piece)
