"""The plots of the page, each for itself, so that they stand side by side or below each other."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from pipeline.page import svg
from pipeline.retention.page_words import number
from schemas.retention import Change, Interval, MeasuredChoices, Retention

WIDTH = 5.4
_ROW = 0.62
_POINTS = 600
"""Of a curve at most; more cannot be seen."""


class Plot(NamedTuple):
    """A drawing and what it shows."""

    title: str
    note: str
    drawing: str


def plots(retention: Retention, log: Sequence[Mapping[str, Any]]) -> list[Plot]:
    """All that there is something to draw of."""
    return [
        *_pairs(retention),
        *_divergence(retention),
        *_likeness(retention),
        *_curves(log),
        *_margins(retention),
    ]


def _pairs(retention: Retention) -> list[Plot]:
    kinds = (
        ("Accuracy", "accuracy", "Share of right answers; the short line is blind choice."),
        ("Margin", "margin", "By how much the right choice is likelier than the best wrong one, "
         "in nats a byte."),
        ("Surprise", "nll", "Nats a token of held-out texts and task rows; less is better."),
    )  # fmt: skip
    shown = []
    for title, measure, note in kinds:
        changes = [change for change in retention.changes if change.measure == measure]
        if changes:
            height = 0.75 + _ROW * len(changes)
            drawn = svg.drawing(lambda ax, c=changes: _draw_pairs(ax, c), size=(WIDTH, height))
            shown.append(
                Plot(title, f"{note} Hollow: before, filled: after, with 95% intervals.", drawn)
            )
    return shown


def _draw_pairs(axes: Any, changes: Sequence[Change]) -> None:
    places = range(len(changes) - 1, -1, -1)
    for y, change in zip(places, changes, strict=True):
        colour = {"better": svg.BETTER, "worse": svg.WORSE, "unsure": svg.AFTER}[change.verdict]
        _draw_interval(axes, change.before, y + 0.13, svg.BEFORE, hollow=True)
        _draw_interval(axes, change.after, y - 0.13, colour, hollow=False)
        if change.chance is not None:
            axes.plot([change.chance] * 2, [y - 0.3, y + 0.3], color=svg.INK, lw=1, alpha=0.55)
    axes.set_yticks(list(places), [svg.short(change.name) for change in changes])
    axes.set_ylim(-0.6, len(changes) - 0.4)
    right = axes.secondary_yaxis("right")
    told = [f"{number(c.before.value)} → {number(c.after.value)}" for c in changes]
    right.set_yticks(list(places), told)
    right.tick_params(length=0)
    right.spines["right"].set_visible(False)
    svg.bare(axes, across=False)


def _draw_interval(axes: Any, found: Interval, y: float, colour: str, *, hollow: bool) -> None:
    if found.low is not None and found.high is not None:
        axes.plot([found.low, found.high], [y, y], color=colour, lw=1.6, solid_capstyle="butt")
    axes.plot(
        [found.value],
        [y],
        "o",
        ms=5.5,
        color=colour,
        markerfacecolor="none" if hollow else colour,
        markeredgewidth=1.4,
    )


def _margins(retention: Retention) -> list[Plot]:
    return [
        Plot(
            f"Margins of {name}, item by item",
            "Right answers lie above the horizontal line after, and right of the vertical one "
            "before. Red ones were lost, green ones won.",
            svg.drawing(
                lambda ax, one=one, name=name: _draw_margins(
                    ax, one, retention.after.choices[name]
                ),
                size=(WIDTH, 3.9),
            ),
        )
        for name, one in retention.before.choices.items()
    ]


def _draw_margins(axes: Any, one: MeasuredChoices, other: MeasuredChoices) -> None:
    pairs = list(zip(one.margins, other.margins, strict=True))
    sides = {
        "unchanged": (svg.BEFORE, [p for p in pairs if (p[0] > 0) == (p[1] > 0)]),
        "lost": (svg.WORSE, [p for p in pairs if p[0] > 0 >= p[1]]),
        "won": (svg.BETTER, [p for p in pairs if p[1] > 0 >= p[0]]),
    }
    low, high = min(map(min, pairs)), max(map(max, pairs))
    room = 0.05 * (high - low or 1)
    axes.plot([low - room, high + room], [low - room, high + room], color=svg.FAINT, lw=1, ls="--")
    axes.axhline(0, color=svg.INK, lw=0.8, alpha=0.6)
    axes.axvline(0, color=svg.INK, lw=0.8, alpha=0.6)
    for side, (colour, points) in sides.items():
        xs, ys = [p[0] for p in points], [p[1] for p in points]
        axes.plot(xs, ys, "o", ms=4, color=colour, alpha=0.75, mew=0, label=f"{len(points)} {side}")
    axes.set_xlabel("margin before (nats a byte)")
    axes.set_ylabel("margin after")
    axes.legend(loc="upper left", handletextpad=0.1, borderaxespad=0.2)


def _likeness(retention: Retention) -> list[Plot]:
    sets = {name: m for name, m in retention.after.samples.items() if m.cka}
    if not sets:
        return []

    def draw(axes: Any) -> None:
        for colour, (name, measured) in zip(_colours(len(sets)), sets.items(), strict=True):
            axes.plot(measured.layers, measured.cka, "o-", color=colour, lw=1.6, ms=3, label=name)
        lowest = min(min(m.cka) for m in sets.values())
        axes.set_ylim(min(0.9, lowest - 0.05), 1.005)
        axes.set_xlabel("layer (0: embeddings)")
        axes.set_ylabel("CKA to the original")
        _legend(axes, len(sets))

    note = "How alike the states of the trained model and of the original are; 1 is the same."
    return [Plot("Likeness by layer", note, svg.drawing(draw, size=(WIDTH, 3)))]


def _divergence(retention: Retention) -> list[Plot]:
    sets = {name: m.kl for name, m in retention.after.samples.items() if max(m.kl) > 0}
    if not sets:
        return []

    def draw(axes: Any) -> None:
        most = max(map(max, sets.values()))
        edges = [most * i / 24 for i in range(25)]
        for colour, (name, kl) in zip(_colours(len(sets)), sets.items(), strict=True):
            axes.hist(kl, bins=edges, color=colour, alpha=0.55, label=name)
        axes.set_xlabel("KL(original || trained), nats a token")
        axes.set_ylabel("samples")
        svg.bare(axes, across=True)
        _legend(axes, len(sets))

    note = "On held-out samples of the original's own; a model that forgot nothing stays near 0."
    return [Plot("Distance from the original", note, svg.drawing(draw, size=(WIDTH, 3)))]


def _curves(log: Sequence[Mapping[str, Any]]) -> list[Plot]:
    rows = [row for row in log if "loss" in row and "step" in row]
    if not rows:
        return []
    rows = rows[:: max(1, len(rows) // _POINTS)]
    named = dict.fromkeys(key for row in rows for key in row if key.startswith("loss/"))
    keys = list(named) or ["loss"]

    def draw(losses: Any, rates: Any) -> None:
        for colour, key in zip(_colours(len(keys)), keys, strict=True):
            points = [(row["step"], row[key]) for row in rows if row.get(key) is not None]
            label = svg.short(key.removeprefix("loss/"))
            losses.plot(*zip(*points, strict=True), color=colour, lw=1.5, label=label)
        losses.set_ylabel("loss")
        losses.tick_params(labelbottom=False)
        _legend(losses, len(keys))
        points = [(row["step"], row["learning_rate"]) for row in rows if "learning_rate" in row]
        if points:
            rates.plot(*zip(*points, strict=True), color=svg.AFTER, lw=1.5)
        rates.set_ylabel("rate")
        rates.set_xlabel("step")
        rates.ticklabel_format(axis="y", scilimits=(0, 0))
        rates.sharex(losses)

    note = "The mean loss of each part, before its weight; below, the learning rate."
    return [Plot("Training", note, svg.drawing(draw, size=(WIDTH, 3.9), rows=(2.6, 1)))]


def _colours(count: int) -> list[str]:
    return [svg.SERIES[i % len(svg.SERIES)] for i in range(count)]


def _legend(axes: Any, count: int) -> None:
    if count > 1:
        axes.legend(loc="best", handlelength=1.4)
