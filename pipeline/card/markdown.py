"""Markdown that stays what it is, whatever a model or a person wrote into it."""

import re
import textwrap
from collections.abc import Iterable, Sequence

WIDTH = 100
_RUNS = re.compile("`+")
_MEANS = re.compile(r"([\\`*_{}\[\]<>#|!~$&])")


def plain(text: str) -> str:
    """A text in a sentence or a table: one line, no mark-up."""
    return _MEANS.sub(r"\\\1", " ".join(printable(text).split()))


def code(text: object) -> str:
    """The same as code."""
    said = " ".join(printable(str(text)).split()).replace("`", "'").replace("|", "¦")
    return f"`{said}`" if said else ""


def block(text: str, kind: str = "text") -> str:
    """Lines as they are, which no line of theirs can end."""
    longest = max(map(len, _RUNS.findall(text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{kind}\n{text}\n{fence}"


def wrapped(text: str) -> str:
    """A text with lines that fit a page."""
    lines = [textwrap.wrap(line, WIDTH) or [""] for line in printable(text).split("\n")]
    return "\n".join(part for line in lines for part in line)


def printable(text: str) -> str:
    """Control characters spelled out, those that turn the direction of a text among them."""
    return "".join(c if c.isprintable() or c == "\n" else _spelled(c) for c in text)


def _spelled(character: str) -> str:
    return " " if character == "\t" else character.encode("unicode_escape").decode("ascii")


def table(head: Sequence[str], rows: Iterable[Sequence[str]], right: Sequence[int] = ()) -> str:
    """A table; the columns numbered in `right` hold figures."""
    line = ["---:" if column in right else "---" for column in range(len(head))]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, line, *rows))
