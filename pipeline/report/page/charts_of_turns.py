"""Plots of what turns are like, level by level."""

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Any

from pipeline.page import svg
from pipeline.report.content import LevelReport
from pipeline.report.page.chart import WIDTH, figure

_VISIBLE = 1e-9


def lengths_chart(levels: Sequence[LevelReport]) -> str:
    """Which share of turns is no longer than that, one line a level."""
    shown = [level for level in levels if level.lengths is not None]

    def draw(axes: Any) -> None:
        for place, level in enumerate(shown):
            found = level.lengths
            assert found is not None
            below = [0.0, *(n / max(1, found.count) for n in accumulate(found.counts))]
            colour = svg.SERIES[place % len(svg.SERIES)]
            axes.plot(found.edges, below, color=colour, lw=1.6, label=f"{level.level} {level.role}")
        axes.set_xlabel("tokens of a turn")
        axes.set_ylabel("share of turns that are shorter")
        axes.set_xlim(0, None)
        axes.set_ylim(0, 1.02)
        axes.legend(loc="lower right", handlelength=1.4)

    note = "Of all turns that remain, not of a sample."
    return figure("Lengths", note, draw, (WIDTH, 3)) if shown else ""


def languages_chart(levels: Sequence[LevelReport]) -> str:
    """Shares by level."""
    shown = [(level, level.languages) for level in levels if level.languages is not None]
    totals: Counter[str] = Counter()
    for _, found in shown:
        totals.update(found.shares)
    named = [code for code, _ in totals.most_common(len(svg.SERIES) - 1)]

    def draw(axes: Any) -> None:
        places = range(len(shown) - 1, -1, -1)
        before = [0.0] * len(shown)
        for place, code in enumerate([*named, "others"]):
            widths = [_share_of(code, named, found.shares) for _, found in shown]
            if any(width > _VISIBLE for width in widths):
                colour = svg.SERIES[place]
                axes.barh(places, widths, left=before, height=0.7, color=colour, label=code)
            before = [left + width for left, width in zip(before, widths, strict=True)]
        axes.set_yticks(list(places), [f"{level.level} {level.role}" for level, _ in shown])
        axes.set_xlim(0, 1)
        axes.set_xlabel("share of turns that are long enough to tell")
        svg.bare(axes, across=False)
        axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=6, handlelength=0.9)

    note = "Of a random sample of each level."
    size = (WIDTH, 1.2 + 0.36 * len(shown))
    return figure("Languages", note, draw, size) if named else ""


def _share_of(code: str, named: Sequence[str], shares: Mapping[str, float]) -> float:
    """Of a language, or of all that are not named."""
    if code in named:
        return shares.get(code, 0.0)
    return sum(part for other, part in shares.items() if other not in named)


def diversity_chart(levels: Sequence[LevelReport]) -> str:
    """How many n-grams are new, by depth."""
    found = [level.diversity for level in levels if level.diversity is not None]
    lines = [(f"distinct-{n}", [one.distinct[str(n)] for one in found]) for n in (1, 2, 3, 4)]
    note = "The share of n-grams that are the first of their kind, in as many words at each level."
    return _by_level("Diversity by depth", note, levels, lines)


def likeness_chart(levels: Sequence[LevelReport]) -> str:
    """How alike turns of a level are, and how much each repeats itself."""
    found = [level.diversity for level in levels if level.diversity is not None]
    lines: list[tuple[str, list[float | None]]] = [
        ("nearest turn", [one.nearest for one in found]),
        ("any two turns", [one.similarity for one in found]),
        ("within a turn", [one.repetition for one in found]),
    ]
    note = "Cosine to the nearest turn and of any two; repeated 4-grams within a turn."
    return _by_level("Self-similarity and repetition by depth", note, levels, lines)


def _by_level(
    title: str,
    note: str,
    levels: Sequence[LevelReport],
    lines: Sequence[tuple[str, Sequence[float | None]]],
) -> str:
    shown = [(level.level, level.diversity) for level in levels if level.diversity is not None]

    def draw(axes: Any) -> None:
        xs = [level for level, _ in shown]
        for place, (name, ys) in enumerate(lines):
            known = [(x, y) for x, y in zip(xs, ys, strict=True) if y is not None]
            if known:
                colour = svg.SERIES[place]
                axes.plot(*zip(*known, strict=True), "o-", color=colour, lw=1.5, ms=4, label=name)
        axes.set_xticks(xs)
        axes.set_ylim(-0.02, 1.02)
        axes.set_xlabel("level")
        axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=4, handlelength=1.2)

    return figure(title, note, draw, (WIDTH, 2.9)) if shown else ""


def compared_chart(
    title: str, name: str, runs: Sequence[tuple[str, Sequence[float | None]]]
) -> str:
    """One measure of two runs by level."""

    def draw(axes: Any) -> None:
        for place, (label, values) in enumerate(runs):
            known = [(x, y) for x, y in enumerate(values, start=1) if y is not None]
            if known:
                xs, ys = zip(*known, strict=True)
                style = ("o-", "s--")[place % 2]
                colour = svg.SERIES[place]
                axes.plot(xs, ys, style, color=colour, lw=1.6, ms=5, label=label, clip_on=False)
        axes.set_xticks(range(1, 1 + max(len(values) for _, values in runs)))
        axes.set_xlabel("level")
        axes.set_ylabel(name)
        axes.set_ylim(0, None)
        axes.legend(loc="best", handlelength=2)

    return figure(title, "", draw, (WIDTH, 2.8))
