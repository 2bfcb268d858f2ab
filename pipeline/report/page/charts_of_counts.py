"""Plots of what was asked and came, and of when."""

from collections.abc import Sequence
from typing import Any

from pipeline.page import svg
from pipeline.report.content import LevelReport
from pipeline.report.course import Course
from pipeline.report.funnel import Funnel, Kind
from pipeline.report.page.chart import WIDTH, figure
from pipeline.report.page.words import count

_COLOURS: dict[Kind, str] = {
    "asked": svg.SERIES[0],
    "failed": svg.SERIES[4],
    "filtered": svg.SERIES[1],
    "repeated": svg.SERIES[3],
    "surplus": svg.SERIES[5],
    "kept": svg.SERIES[2],
    "given": svg.SERIES[0],
    "left out": svg.SERIES[3],
    "remains": svg.SERIES[2],
}


def funnel_chart(funnel: Funnel) -> str:
    """From what was asked down to what remains, step by step."""
    steps = list(funnel.steps())

    def draw(axes: Any) -> None:
        for y, step in enumerate(reversed(steps)):
            left = step.after if step.falls else 0
            axes.barh(y, step.count, left=left, height=0.72, color=_COLOURS[step.kind])
            end = left + step.count
            axes.annotate(
                count(step.count),
                (end, y),
                xytext=(4, 0),
                textcoords="offset points",
                va="center",
                fontsize=8.5,
            )
        axes.set_yticks(range(len(steps)), [svg.short(s.name) for s in reversed(steps)])
        axes.set_xlim(0, max(1, funnel.asked + funnel.given) * 1.16)
        axes.set_xlabel("candidates")
        svg.bare(axes, across=False)
        axes.locator_params(axis="x", nbins=5)

    note = "Each bar that falls begins where the one above left off; nothing is counted twice."
    return figure("What became of each candidate", note, draw, (WIDTH, 0.9 + 0.29 * len(steps)))


def level_shares_chart(levels: Sequence[LevelReport]) -> str:
    """By level, which part of what was asked came to which end."""
    parts: tuple[tuple[str, str, list[int]], ...] = (
        ("kept", svg.SERIES[2], [f.funnel.kept for f in levels]),
        ("surplus", svg.SERIES[5], [f.funnel.surplus for f in levels]),
        ("repeated", svg.SERIES[3], [sum(f.funnel.repeated.values()) for f in levels]),
        ("filtered", svg.SERIES[1], [sum(f.funnel.filtered.values()) for f in levels]),
        ("failed", svg.SERIES[4], [sum(f.funnel.failed.values()) for f in levels]),
    )

    def draw(axes: Any) -> None:
        places = range(len(levels) - 1, -1, -1)
        before = [0.0] * len(levels)
        for name, colour, counts in parts:
            widths = [n / max(1, f.funnel.asked) for n, f in zip(counts, levels, strict=True)]
            if any(counts):
                axes.barh(places, widths, left=before, height=0.7, color=colour, label=name)
            before = [left + width for left, width in zip(before, widths, strict=True)]
        axes.set_yticks(list(places), [f"{f.level} {f.role}" for f in levels])
        axes.set_xlim(0, 1)
        axes.set_xlabel("share of candidates")
        svg.bare(axes, across=False)
        axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=5, handlelength=0.9)

    note = "Kept ones as the run judged them; what was left out later is in the table."
    return figure("By level", note, draw, (WIDTH, 1.2 + 0.36 * len(levels)))


def course_chart(course: Course) -> str:
    """Waves over busy time, one below the other by level."""

    def draw(axes: Any) -> None:
        levels = sorted({bar.level for bar in course.bars})
        unit, name = (3600, "hours") if course.busy_s > 7200 else (60, "minutes")
        unit, name = (1, "seconds") if course.busy_s < 300 else (unit, name)
        for row, level in enumerate(reversed(levels)):
            own = [bar for bar in course.bars if bar.level == level]
            lane = 0.8 / max(1, len(own))
            for place, bar in enumerate(own):
                width = max(bar.stop_s - bar.start_s, course.busy_s / 500) / unit
                y = row + 0.4 - lane * (place + 0.5)
                colour = svg.SERIES[(level - 1) % len(svg.SERIES)]
                axes.barh(y, width, left=bar.start_s / unit, height=lane * 0.9, color=colour)
        axes.set_yticks(range(len(levels)), [f"level {level}" for level in reversed(levels)])
        axes.set_xlabel(f"busy {name}, pauses between attempts left out")
        svg.bare(axes, across=False)

    shown = f"{len(course.bars):,} of {course.bars_of:,} waves" if course.bars_of else "no waves"
    note = f"A bar is a wave, from its first request to its commit ({shown})."
    levels = len({bar.level for bar in course.bars})
    return figure("When", note, draw, (WIDTH, 1.0 + 0.55 * levels))


def tokens_chart(levels: Sequence[LevelReport]) -> str:
    """What was sampled and what was read for it, by level."""
    parts: tuple[tuple[str, str, list[int]], ...] = (
        ("sampled", svg.SERIES[2], [level.output_tokens for level in levels]),
        ("sampled about them", svg.SERIES[3], [level.aside_tokens for level in levels]),
        ("sampled ahead in vain", svg.SERIES[1], [level.unused_tokens for level in levels]),
        ("of prompts", svg.SERIES[0], [level.prompt_tokens for level in levels]),
    )

    def draw(axes: Any) -> None:
        shown = [part for part in parts if any(part[2])]
        height = 0.8 / max(1, len(shown))
        for place, (name, colour, tokens) in enumerate(shown):
            ys = [row + 0.4 - height * (place + 0.5) for row in range(len(levels) - 1, -1, -1)]
            axes.barh(ys, tokens, height=height * 0.92, color=colour, label=name)
        axes.set_yticks(range(len(levels) - 1, -1, -1), [f"{v.level} {v.role}" for v in levels])
        axes.set_xlabel("tokens")
        axes.locator_params(axis="x", nbins=5)
        svg.bare(axes, across=False)
        axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3, handlelength=0.9)

    note = "Each prompt is counted for each of its candidates, whatever a cache saved of it."
    return figure("Tokens by level", note, draw, (WIDTH, 1.2 + 0.5 * len(levels)))
