"""Figures of an experiment, as SVG that stands in a page by itself."""

from collections.abc import Sequence
from typing import Any

from pipeline.experiment.grids import headlines
from pipeline.plots import drawn, svg
from schemas.experiment_result import Entry, ExperimentResult, MeasureTable
from schemas.experiment_spec import ORIGINAL

STYLE = {
    "font.family": "sans-serif",
    "font.size": 9,
    "axes.titlesize": 9,
    "axes.titleweight": "bold",
    "axes.edgecolor": "#888",
}
COLOURS = (
    *("#4c566a", "#2a6f97", "#d1495b", "#3a7d44", "#e09f3e", "#7b4b94"),
    *("#00a6a6", "#8c5e34", "#c2557f", "#6b7fd7", "#93a829", "#111111"),
)
MARKERS = "osD^vP*Xhp<>"


def forest(result: ExperimentResult) -> str:
    """A panel a measure, a line an arm: each seed, the mean, and its interval."""
    measures = [*headlines(result, "retention"), *headlines(result, "task")]
    across = min(3, len(measures))
    down = -(-len(measures) // across)
    arms = list(measures[0].arms)
    with drawn((3.6 * across, down * (0.9 + 0.24 * len(arms))), STYLE) as figure:
        axes = list(figure.subplots(down, across, squeeze=False, sharey=True).flat)
        for axis, measure in zip(axes, measures, strict=False):
            _panel(axis, measure, result)
        for axis in axes[len(measures) :]:
            axis.set_visible(False)
        return svg(figure)


def _panel(axis: Any, measure: MeasureTable, result: ExperimentResult) -> None:
    axis.axvline(measure.original, color="#3a7d44", linewidth=1, label=ORIGINAL)
    held = measure.arms.get(result.reference)
    if held is not None:
        axis.axvline(held.mean.value, color="#d1495b", linewidth=1, linestyle=":")
    for line, (arm, entry) in enumerate(measure.arms.items()):
        _whisker(axis, entry, line, colour_of(result, arm))
    axis.set_yticks(range(len(measure.arms)), list(measure.arms))
    axis.set_ylim(len(measure.arms) - 0.5, -0.5)
    better = "more is better" if measure.higher_is_better else "less is better"
    if measure.group == "task":
        better = f"{better} (the original: {measure.original:.3f})"
    axis.set_title(f"{_folded(measure.title)}\n", loc="left", fontsize=9)
    axis.set_xlabel(better, color="#666", fontsize=8)
    axis.grid(axis="x", color="#eee")
    axis.set_axisbelow(True)
    _focus(axis, measure)


def _whisker(axis: Any, entry: Entry, line: int, colour: str) -> None:
    values = list(entry.values.values())
    axis.scatter(values, [line] * len(values), s=12, color=colour, alpha=0.35, linewidths=0)
    mean = entry.mean
    if mean.low is not None and mean.high is not None:
        axis.plot([mean.low, mean.high], [line, line], color=colour, linewidth=1.6)
    axis.plot([mean.value], [line], "o", color=colour, markersize=5)


def _focus(axis: Any, measure: MeasureTable) -> None:
    """All values are seen; an interval that is far wider than they are goes over the edge."""
    values = [v for entry in measure.arms.values() for v in entry.values.values()]
    # Learning goes so far that beside where it began all arms would be in one place.
    values += [measure.original] if measure.group == "retention" else []
    span = max(values) - min(values) or abs(max(values)) or 1.0
    ends = [e for entry in measure.arms.values() for e in (entry.mean.low, entry.mean.high) if e]
    low = max(min([*ends, *values]), min(values) - 0.6 * span)
    high = min(max([*ends, *values]), max(values) + 0.6 * span)
    axis.set_xlim(low - 0.05 * span, high + 0.05 * span)


def scatter(result: ExperimentResult) -> str | None:
    """Learning against forgetting, a dot a seed; None where one of the two was not measured."""
    kept, learned = headlines(result, "retention"), headlines(result, "task")
    if not kept or not learned:
        return None
    with drawn((9.2, 4.2), STYLE) as figure:
        axes = figure.subplots(1, 2)
        for axis, measure in zip(axes, _two(kept), strict=True):
            _cloud(axis, learned[0], measure, result)
        handles, labels = axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=6, frameon=False)
        return svg(figure)


def _two(kept: Sequence[MeasureTable]) -> tuple[MeasureTable, MeasureTable]:
    return kept[0], kept[1] if len(kept) > 1 else kept[0]


def _cloud(axis: Any, learned: MeasureTable, kept: MeasureTable, result: ExperimentResult) -> None:
    sign = 1 if learned.higher_is_better else -1
    for index, (arm, entry) in enumerate(kept.arms.items()):
        gains = learned.arms[arm].values
        colour, marker = colour_of(result, arm), MARKERS[index % len(MARKERS)]
        seeds = [seed for seed in entry.values if seed in gains]
        x = [sign * (gains[seed] - learned.original) for seed in seeds]
        y = [entry.values[seed] for seed in seeds]
        axis.scatter(x, y, s=16, color=colour, marker=marker, alpha=0.35, linewidths=0)
        axis.plot(sum(x) / len(x), sum(y) / len(y), marker, color=colour, markersize=7, label=arm)
    axis.axhline(kept.original, color="#3a7d44", linewidth=1, label=ORIGINAL)
    axis.set_xlabel(f"learned: gain in {learned.title}\n(the original: 0, left of here)")
    axis.set_title(f"kept: {_folded(kept.title)}", loc="left")
    if not kept.higher_is_better:
        axis.invert_yaxis()
    axis.grid(color="#eee")
    axis.set_axisbelow(True)


def similarity(result: ExperimentResult) -> str | None:
    """CKA with the original by layer, a line an arm; None where it was not measured."""
    if not result.cka:
        return None
    with drawn((4.6 * len(result.cka), 3.2), STYLE) as figure:
        axes = figure.subplots(1, len(result.cka), squeeze=False).flat
        for axis, (name, arms) in zip(axes, result.cka.items(), strict=True):
            for index, (arm, by_layer) in enumerate(arms.items()):
                layers = result.layers.get(name) or range(len(by_layer))
                style = f"-{MARKERS[index % len(MARKERS)]}"
                colour = colour_of(result, arm)
                axis.plot(layers, by_layer, style, color=colour, markersize=4, label=arm)
            axis.xaxis.get_major_locator().set_params(integer=True)
            axis.set_xlabel("layer, from the embeddings (0) up")
            axis.set_title(f"CKA with the original, on {name}", loc="left")
            axis.grid(color="#eee")
        handles, labels = axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside right center", frameon=False)
        return svg(figure)


def colour_of(result: ExperimentResult, arm: str) -> str:
    """The same in every figure."""
    return COLOURS[result.arms.index(arm) % len(COLOURS)]


def _folded(title: str) -> str:
    return title if len(title) < 44 else title.replace(": ", ":\n", 1)
