"""The plots of a page as files of their own, in its light colours, for papers and slides."""

import re
from collections.abc import Iterator

from pipeline.report.page.style import STYLE

_FIGURE = re.compile(
    r"<figure><figcaption>(.*?)<span>.*?</span></figcaption>(<svg.*?</svg>)\s*</figure>", re.DOTALL
)
_COLOUR = re.compile(r"--([\w-]+):\s*(#[0-9a-f]{6})")
_VARIABLE = re.compile(r"var\(--([\w-]+)\)")
_SPACES = (
    'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
    'font-family="sans-serif"'
)


def plots_of(page: str) -> Iterator[tuple[str, str]]:
    """A file's name, and what it holds, of each plot in order."""
    colours = dict(_COLOUR.findall(STYLE[: STYLE.index("@media")]))
    for number, (title, drawing) in enumerate(_FIGURE.findall(page), start=1):
        coloured = _VARIABLE.sub(lambda used: colours[used[1]], drawing)
        name = "-".join(re.findall(r"[a-z0-9]+", title.lower()))
        yield f"{number:02d}-{name}.svg", coloured.replace("<svg", f"<svg {_SPACES}", 1)
