"""Figures drawn without a screen, as SVG that is the same text whenever it is drawn."""

import io
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

_STYLE = {
    "svg.fonttype": "none",
    "svg.hashsalt": "arborist",
    "axes.spines.top": False,
    "axes.spines.right": False,
}


@contextmanager
def drawn(size: tuple[float, float], style: Mapping[str, Any]) -> Iterator[Any]:
    """A figure of so many inches, to be drawn on and turned into SVG."""
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context({**_STYLE, **style}):
        yield Figure(figsize=size, layout="constrained")


def svg(figure: Any) -> str:
    """The `<svg>` element."""
    out = io.StringIO()
    figure.savefig(out, format="svg", metadata={"Date": None}, transparent=True)
    return out.getvalue()[out.getvalue().index("<svg") :]
