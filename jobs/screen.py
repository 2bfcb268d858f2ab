"""What is looked at again and again: in a terminal in place, elsewhere one below another."""

import sys
import time
from collections.abc import Callable, Iterator

from rich.console import Console
from rich.text import Text


def refreshed(look: Callable[[], tuple[str, bool]], every_s: float, *, redraws: bool) -> None:
    """Show what `look` says, until it says that it will say no more. What a person ends by Ctrl-C
    stays on the screen."""
    console = Console(file=sys.stdout)
    if not (redraws and sys.stdout.isatty()) or console.is_dumb_terminal:
        for words in _looks(look, every_s):
            print(words, flush=True)
        return
    for words in _looks(look, every_s):
        console.clear()
        console.print(Text(words))


def _looks(look: Callable[[], tuple[str, bool]], every_s: float) -> Iterator[str]:
    again = True
    while again:
        words, again = look()
        yield words
        if again:
            time.sleep(every_s)
