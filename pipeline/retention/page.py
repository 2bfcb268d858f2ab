"""What was kept and what was learned, as one page that needs nothing beside it.

Whatever a model or a file has written is escaped, and the page may load nothing, as it says itself.
"""

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from itertools import groupby
from typing import Any, NamedTuple

from pipeline.page.elements import document, figure
from pipeline.page.style import STYLE
from pipeline.retention.page_flips import flips
from pipeline.retention.page_tables import changes_table, mixture_table, provenance_list
from pipeline.retention.page_words import LABELS, delta_text, lead, number, signed, tone
from pipeline.retention.plots import plots
from schemas.retention import Change, Retention


class Story(NamedTuple):
    """What else there is to tell of how the model came about."""

    title: str = "What was learned, and what was kept"
    log: Sequence[Mapping[str, Any]] = ()
    """Of the training: `step`, `loss`, `loss/PART`, `learning_rate`."""
    parts: Mapping[str, Mapping[str, Any]] = {}
    """By part of the mixture: its `counts`, and its `source`."""
    provenance: Mapping[str, str] = {}
    """Further facts by name."""
    warnings: Sequence[str] = ()


def page(retention: Retention, story: Story = Story()) -> str:  # noqa: B008
    """The whole page."""
    return document(story.title, STYLE, _sections(retention, story))


def _sections(retention: Retention, story: Story) -> Iterator[str]:
    yield _models(retention)
    notes = (*story.warnings, *retention.after.notes())
    yield from (f'<p class="note">{escape(note)}</p>' for note in notes)
    yield lead(retention)
    yield from _tiles("Learned", [c for c in retention.changes if c.kind == "task"])
    yield from _tiles("Kept or lost", [c for c in retention.changes if c.kind != "task"])
    drawn = [figure(*plot) for plot in plots(retention, story.log)]
    if drawn:
        yield f'<h2>At a glance</h2>\n<div class="plots">{"".join(drawn)}</div>'
    if retention.changes:
        yield f"<h2>All measures</h2>\n{changes_table(retention.changes)}"
    yield from flips(retention)
    if story.parts:
        yield f"<h2>What it was trained on</h2>\n{mixture_table(story.parts)}"
    yield f"<h2>Provenance</h2>\n{provenance_list(retention, story.provenance)}"


def _models(retention: Retention) -> str:
    before, after = (escape(m.model) for m in (retention.before, retention.after))
    return f'<p class="soft"><code>{before}</code> → <code>{after}</code></p>'


def _tiles(title: str, changes: Sequence[Change]) -> Iterator[str]:
    if changes:
        sets = [list(group) for _, group in groupby(changes, key=lambda c: (c.kind, c.name))]
        tiles = "".join(map(_tile, sets))
        yield f'<h3>{title}</h3>\n<div class="tiles">{tiles}</div>'


def _tile(changes: Sequence[Change]) -> str:
    """One set of items: its first measure large, the others below."""
    first, *others = changes
    below = "".join(
        f'<small class="other">{LABELS[c.measure]} {number(c.before.value)} → '
        f'{number(c.after.value)} <span class="delta {tone(c)}">'
        f"{signed(c.difference.value)}</span></small>"
        for c in others
    )
    return (
        f'<div class="tile {tone(first)}"><strong>{escape(first.name)}</strong>'
        f"<small>{LABELS[first.measure]}</small>"
        f"<b><i>{number(first.before.value)} →</i> {number(first.after.value)}</b>"
        f'<small class="delta {tone(first)}">{delta_text(first)}</small>{below}</div>'
    )
