"""What is looked at again and again: in a terminal in place, elsewhere one below another."""

import os
import sys
import time
from collections.abc import Callable, Iterator
from typing import TextIO

from rich.console import Console
from rich.text import Text


def refreshed(look: Callable[[], tuple[str, bool]], every_s: float, *, redraws: bool) -> None:
    """Show what `look` says, until it says that it will say no more. What a person ends by Ctrl-C
    stays on the screen."""
    console = Console(file=sys.stdout)
    if not (redraws and can_redraw(console, sys.stdout)):
        for words in _looks(look, every_s):
            print(words, flush=True)
        return
    for words in _looks(look, every_s):
        console.clear()
        console.print(Text(words))


def can_redraw(console: Console, out: TextIO) -> bool:
    """Whether what stands there can be drawn over: by a terminal, but not by a notebook, whose
    kernel lends its commands a terminal and appends what they say."""
    return out.isatty() and not console.is_dumb_terminal and "JPY_PARENT_PID" not in os.environ


def _looks(look: Callable[[], tuple[str, bool]], every_s: float) -> Iterator[str]:
    again = True
    while again:
        words, again = look()
        yield words
        if again:
            time.sleep(every_s)
