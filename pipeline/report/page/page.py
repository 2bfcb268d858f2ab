"""The whole page, of one run or of two side by side.

Whatever a model or a file has written is escaped, and the page may load nothing, as it says itself.
"""

from collections.abc import Callable, Iterator, Sequence
from html import escape

from pipeline.page.elements import document, prose
from pipeline.report.content import RunReport
from pipeline.report.page.chart import can_draw
from pipeline.report.page.comparison import comparison, names_of
from pipeline.report.page.counts import course_section, funnel_section, glance
from pipeline.report.page.style import STYLE
from pipeline.report.page.texts import (
    dialogues_section,
    facts_section,
    reasons_section,
    repeats_section,
    topics_section,
)
from pipeline.report.page.turns import diversity_section, lengths_section

Section = Callable[[RunReport], Iterator[str]]

_NO_PLOTS = (
    "Plots are left out: matplotlib is not installed. It comes with the extra `sft`, or by "
    "pip install matplotlib; then make the report again."
)
_SECTIONS: tuple[tuple[str, str, Section], ...] = (
    ("funnel", "What was asked, and what came", funnel_section),
    ("course", "Tokens and time", course_section),
    ("lengths", "Lengths and languages", lengths_section),
    ("topics", "Topics", topics_section),
    ("diversity", "Diversity and repetition", diversity_section),
    ("repeats", "What repeats what", repeats_section),
    ("reasons", "Dropped turns, by reason", reasons_section),
    ("conversations", "Random conversations", dialogues_section),
    ("facts", "How it was made", facts_section),
)


def page(reports: Sequence[RunReport]) -> str:
    """HTML that stands for itself."""
    title = "Report: " + " and ".join(names_of(reports))
    return document(title, STYLE, _body(reports), kind="two" if len(reports) > 1 else "")


def _body(reports: Sequence[RunReport]) -> Iterator[str]:
    both = [("compared", "Side by side")] if len(reports) > 1 else []
    named = [*both, *((name, title) for name, title, _ in _SECTIONS)]
    links = "".join(f'<a href="#{name}">{title}</a>' for name, title in named)
    yield from _beside(reports, glance)
    if not can_draw():
        yield f'<p class="note">{prose(_NO_PLOTS)}</p>'
    yield f"<nav>{links}</nav>"
    if len(reports) > 1:
        yield '<h2 id="compared">Side by side</h2>'
        yield from comparison(reports)
    for name, title, section in _SECTIONS:
        yield f'<h2 id="{name}">{title}</h2>'
        yield from _beside(reports, section)


def _beside(reports: Sequence[RunReport], section: Section) -> Iterator[str]:
    """A column a run, each named where there is more than one."""
    yield '<div class="beside">'
    for name, report in zip(names_of(reports), reports, strict=True):
        named = f'<p class="runname">{escape(name)}</p>' if len(reports) > 1 else ""
        yield f'<section class="run">{named}'
        yield from section(report)
        yield "</section>"
    yield "</div>"
