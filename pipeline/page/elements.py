"""Elements of pages, as HTML. Texts are escaped here; cells and drawings are HTML already."""

import re
from collections.abc import Iterable, Sequence
from html import escape

MINUS = "\N{MINUS SIGN}"
_QUOTED = re.compile(r"`([^`]+)`")
_POLICY = "default-src 'none'; style-src 'unsafe-inline'"


def document(title: str, style: str, body: Iterable[str], *, kind: str = "") -> str:
    """A whole page, that may load nothing, as it says itself; `kind` is its main part's class."""
    named = f' class="{kind}"' if kind else ""
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        f"<title>{escape(title)}</title>\n<style>{style}</style>\n</head>\n<body>\n<main{named}>\n"
        f"<h1>{escape(title)}</h1>\n" + "\n".join(body) + "\n</main>\n</body>\n</html>\n"
    )


def prose(text: str) -> str:
    """A text for people, its `words of a computer` as those."""
    return _QUOTED.sub(r"<code>\1</code>", escape(text))


def figure(title: str, note: str, drawing: str) -> str:
    """A drawing under its title."""
    return (
        f"<figure><figcaption>{escape(title)}<span>{escape(note)}</span></figcaption>"
        f"{drawing}</figure>"
    )


def row(tag: str, cells: Sequence[str], *, texts: int = 1) -> str:
    """A row of a table, of which the first cells are texts and the others numbers."""
    made = (
        f'<{tag} class="name">{cell}</{tag}>' if place < texts else f"<{tag}>{cell}</{tag}>"
        for place, cell in enumerate(cells)
    )
    return f"<tr>{''.join(made)}</tr>"


def pairs(told: Iterable[tuple[str, str]]) -> str:
    """Names and what is said of them."""
    body = "".join(f"<dt>{escape(name)}</dt><dd>{escape(text)}</dd>" for name, text in told)
    return f"<dl>{body}</dl>"
