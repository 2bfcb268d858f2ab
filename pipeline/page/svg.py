"""Drawings as SVG that stands in a page: no fonts, no addresses, and colours that the page decides.

A drawing uses the colours below, which nothing else in it has. In the page each becomes a variable,
so the same drawing is dark on light and light on dark.
"""

import re
from collections.abc import Callable, Sequence
from typing import Any

from pipeline import plots

INK, FAINT, BEFORE, AFTER, WORSE, BETTER = (f"#0101{i:02x}" for i in range(1, 7))
SERIES = tuple(f"#0202{i:02x}" for i in range(1, 7))

_VARIABLES = {
    INK: "ink",
    FAINT: "faint",
    BEFORE: "before",
    AFTER: "after",
    WORSE: "worse",
    BETTER: "better",
    **{colour: f"series-{i}" for i, colour in enumerate(SERIES, start=1)},
}
_SETTINGS = {
    # Names come from specs, where a dollar sign is one.
    "text.parse_math": False,
    "font.size": 9.5,
    "text.color": INK,
    "axes.edgecolor": FAINT,
    "axes.labelcolor": INK,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": FAINT,
    "grid.linewidth": 0.6,
    "xtick.color": FAINT,
    "ytick.color": FAINT,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "legend.frameon": False,
}
_LONGEST = 24

Draw = Callable[..., None]
"""Draws on the axes that it is given."""


def drawing(draw: Draw, *, size: tuple[float, float], rows: Sequence[float] = (1,)) -> str:
    """What a function draws, as an `<svg>` element; `rows` are the heights of axes one below the
    other, all of which it is given."""
    with plots.drawn(size, _SETTINGS) as figure:
        axes = figure.subplots(len(rows), 1, squeeze=False, height_ratios=list(rows))[:, 0]
        draw(*axes)
        return _inline(plots.svg(figure))


def short(name: str) -> str:
    """A name as an axis has room for it."""
    return name if len(name) <= _LONGEST else f"{name[: _LONGEST - 1]}…"


def bare(axes: Any, *, across: bool) -> None:
    """Only the grid lines that help to read one of the axes."""
    axes.grid(visible=False, axis="x" if across else "y")
    axes.tick_params(length=0)
    axes.spines["left" if not across else "bottom"].set_visible(across)


def _inline(element: str) -> str:
    """Without what names a namespace or tells of its making."""
    element = re.sub(r"<metadata>.*?</metadata>\s*", "", element, flags=re.DOTALL)
    element = re.sub(r"<!--.*?-->", "", element, flags=re.DOTALL)
    element = re.sub(r'\sxmlns(:\w+)?="[^"]*"', "", element)
    element = re.sub(r'(<svg[^>]*?)\swidth="[^"]*"', r"\1", element, count=1)
    element = re.sub(r'(<svg[^>]*?)\sheight="[^"]*"', r"\1", element, count=1)
    for colour, variable in _VARIABLES.items():
        element = element.replace(colour, f"var(--{variable})")
    return element.replace("<svg", '<svg aria-hidden="true"', 1)
