"""Sections on what turns are like: lengths, languages, diversity."""

from collections.abc import Iterator
from html import escape

from pipeline.report.content import RunReport
from pipeline.report.page.charts_of_turns import (
    diversity_chart,
    languages_chart,
    lengths_chart,
    likeness_chart,
)
from pipeline.report.page.words import count, figure, share, table


def lengths_section(report: RunReport) -> Iterator[str]:
    """How long turns are, and why they end."""
    charts = lengths_chart(report.levels) + languages_chart(report.levels)
    if charts:
        yield f'<div class="plots">{charts}</div>'
    shown = [(level, level.lengths) for level in report.levels if level.lengths is not None]
    yield table(
        ["level", "turns", "tokens", "mean", "5%", "median", "95%", "longest", "ended by"],
        (
            [
                f"{level.level} {escape(level.role)}",
                count(found.count),
                count(found.tokens),
                figure(round(found.mean, 1)),
                count(found.p5),
                count(found.median),
                count(found.p95),
                count(found.longest),
                ", ".join(f"{escape(why)} {count(n)}" for why, n in level.finished.items()),
            ]
            for level, found in shown
        ),
    )
    yield from _languages(report)


def _languages(report: RunReport) -> Iterator[str]:
    """Of a bounded sample of each level."""
    shown = [(level, level.languages) for level in report.levels if level.languages is not None]
    yield table(
        ["level", "languages", "texts", "too short to tell"],
        (
            [
                f"{level.level} {escape(level.role)}",
                ", ".join(f"{escape(code)} {share(part)}" for code, part in found.shares.items()),
                count(found.texts),
                count(found.too_short),
            ]
            for level, found in shown
        ),
        texts=2,
    )
    yield (
        '<p class="soft">By py3langid, of a random sample; unsure: no language is likelier than '
        "all others together. Short turns mislead it.</p>"
    )


def diversity_section(report: RunReport) -> Iterator[str]:
    """How different turns of a level are."""
    charts = diversity_chart(report.levels) + likeness_chart(report.levels)
    if charts:
        yield f'<div class="plots">{charts}</div>'
    shown = [(level, level.diversity) for level in report.levels if level.diversity is not None]
    heads = [
        "level",
        "texts",
        "words",
        "distinct-1",
        "-2",
        "-3",
        "-4",
        "repetition",
        "self-similarity",
    ]
    yield table(
        [*heads, "nearest"],
        (
            [
                f"{level.level} {escape(level.role)}",
                count(found.texts),
                count(found.words),
                *(f"{value:.3f}" for value in found.distinct.values()),
                f"{found.repetition:.3f}",
                *("" if one is None else f"{one:.3f}" for one in (found.similarity, found.nearest)),
            ]
            for level, found in shown
        ),
    )
    yield (
        '<p class="soft">Of a random sample. Distinct-n: the share of word n-grams that are the '
        "first of their kind, in as many words at each level. Repetition: the share of a turn's "
        "4-grams that it has said before. Self-similarity: the mean cosine of two turns by hashed "
        "character n-grams, which knows letters, not meaning; nearest: of each turn to the one "
        "most like it, the median.</p>"
    )
