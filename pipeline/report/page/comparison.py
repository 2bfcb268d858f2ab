"""Two runs against each other: the same figures beside each other, and measures by level."""

from collections.abc import Callable, Iterator, Sequence
from html import escape

from pipeline.report.content import LevelReport, RunReport
from pipeline.report.page.charts_of_turns import compared_chart
from pipeline.report.page.words import count, figure, share, span, table

Measure = Callable[[LevelReport], float | None]

_FIGURES: tuple[tuple[str, Callable[[RunReport], float | None], Callable[[float], str]], ...] = (
    ("asked for", lambda r: r.funnel.asked, count),
    ("kept share", lambda r: r.funnel.kept / max(1, r.funnel.asked), share),
    ("failed", lambda r: sum(r.funnel.failed.values()), count),
    ("filtered", lambda r: sum(r.funnel.filtered.values()), count),
    ("repeated", lambda r: sum(r.funnel.repeated.values()), count),
    ("surplus", lambda r: r.funnel.surplus, count),
    ("left out later", lambda r: sum(r.funnel.left_out.values()), count),
    ("rows that remain", lambda r: r.funnel.remains, count),
    ("tokens sampled", lambda r: r.tokens, count),
    ("tokens for each row that remains", lambda r: r.tokens / max(1, r.funnel.remains), figure),
    ("busy time", lambda r: r.course.busy_s, span),
    ("tokens a busy second", lambda r: r.tokens / max(1e-9, r.course.busy_s), figure),
    ("GPU hours", lambda r: r.course.gpu_hours, figure),
    ("prompt tokens shared", lambda r: r.prompts.reusable, share),
    ("prompt tokens from cache", lambda r: r.engines.cached_share, share),
    ("engines with work", lambda r: r.engines.work_share, share),
    ("waves in flight", lambda r: r.course.in_flight, figure),
    ("evenness of topics", lambda r: r.topics.even if r.topics else 0.0, figure),
)

_BY_LEVEL: tuple[tuple[str, str, Measure], ...] = (
    ("Kept share", "kept / asked", lambda one: one.funnel.kept / max(1, one.funnel.asked)),
    ("Median length", "tokens", lambda one: one.lengths.median if one.lengths else None),
    ("Distinct-2", "share", lambda one: one.diversity.distinct["2"] if one.diversity else None),
    (
        "Self-similarity",
        "mean cosine of two turns",
        lambda one: one.diversity.similarity if one.diversity else None,
    ),
)


def comparison(reports: Sequence[RunReport]) -> Iterator[str]:
    """A table of all figures, and plots."""
    names = names_of(reports)
    yield table(
        ["", *map(escape, names), "ratio"],
        (
            [name, *(_told(measure(report), told) for report in reports), _ratio(measure, reports)]
            for name, measure, told in _FIGURES
        ),
    )
    charts = "".join(
        compared_chart(title, unit, list(zip(names, _values(measure, reports), strict=True)))
        for title, unit, measure in _BY_LEVEL
    )
    if charts:
        yield f'<div class="plots compared">{charts}</div>'
    yield (
        '<p class="soft">Distinct-n depends on how many words are counted: each run counts as many '
        "words at all of its levels, but two runs may count different numbers (see below).</p>"
    )


def names_of(reports: Sequence[RunReport]) -> list[str]:
    """As people name them; where that does not tell them apart, with their run ids."""
    names = [report.header.name for report in reports]
    if len(set(names)) == len(names):
        return names
    return [f"{report.header.name} {report.header.run_id}" for report in reports]


def _told(value: float | None, words: Callable[[float], str]) -> str:
    return "" if value is None else words(value)


def _ratio(measure: Callable[[RunReport], float | None], reports: Sequence[RunReport]) -> str:
    """The second to the first."""
    first, second = (measure(report) for report in reports)
    return f"{second / first:.2f}" if first and second is not None else ""


def _values(measure: Measure, reports: Sequence[RunReport]) -> list[list[float | None]]:
    return [[measure(level) for level in report.levels] for report in reports]
