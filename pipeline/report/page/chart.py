"""One plot of the page. It stands for itself, so that it can be cut out and used elsewhere."""

import warnings
from importlib.util import find_spec

from pipeline.page import elements, svg

WIDTH = 5.4
"""Inches."""


def can_draw() -> bool:
    """Whether the library is installed that plots are drawn by."""
    return find_spec("matplotlib") is not None


def figure(title: str, note: str, draw: svg.Draw, size: tuple[float, float]) -> str:
    """A drawing with its title; nothing where none can be made."""
    if not can_draw():
        return ""
    with warnings.catch_warnings():
        # The page's own fonts are used, whatever the library's lack.
        warnings.filterwarnings("ignore", "Glyph .* missing")
        drawing = svg.drawing(draw, size=size)
    return elements.figure(title, note, drawing)
