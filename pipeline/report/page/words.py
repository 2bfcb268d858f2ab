"""Numbers, spans of time and texts as the page says them."""

from collections.abc import Iterable, Sequence
from html import escape

from pipeline.page.elements import row

_MINUTE_S, _HOUR_S = 60, 3600
_LONGEST = 700


def count(value: float) -> str:
    """A whole number of things."""
    return f"{value:,.0f}"


def figure(value: float) -> str:
    """Three digits that matter."""
    return f"{value:,.0f}" if abs(value) >= 1000 or value == int(value) else f"{value:.3g}"


def share(part: float, whole: float = 1.0) -> str:
    """In a hundred; nothing where there is no whole."""
    if not whole:
        return ""
    value = part / whole
    return f"{value:.2%}" if 0 < value < 0.01 else f"{value:.1%}"


def span(seconds: float) -> str:
    """A stretch of time."""
    if seconds < _MINUTE_S:
        return f"{seconds:.1f} s"
    if seconds < _HOUR_S:
        return f"{seconds // _MINUTE_S:.0f} min {seconds % _MINUTE_S:02.0f} s"
    return f"{seconds / _HOUR_S:,.2f} h"


def plural(number: int, noun: str) -> str:
    """So many of something."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def cut(text: str, longest: int = _LONGEST) -> str:
    """A text for HTML, its end left off if it is very long."""
    return escape(text if len(text) <= longest else f"{text[:longest]}…")


def table(heads: Sequence[str], rows: Iterable[Sequence[str]], *, texts: int = 1) -> str:
    """Cells are HTML; the first columns hold texts, the others numbers."""
    body = "".join(row("td", cells, texts=texts) for cells in rows)
    head = row("th", heads, texts=texts)
    return f'<div class="scroll"><table><thead>{head}</thead><tbody>{body}</tbody></table></div>'
