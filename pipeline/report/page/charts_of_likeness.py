"""Plots of topics, and of what repeats what."""

from statistics import median
from typing import Any

from pipeline.page import svg
from pipeline.report.page.chart import WIDTH, figure
from pipeline.report.page.words import count
from pipeline.report.repeats import RepeatGroups, bands
from pipeline.report.topics import Topics


def topics_chart(topics: Topics) -> str:
    """The openings in the plane of their two main directions."""

    def draw(axes: Any) -> None:
        size = 6.5 if topics.of < 100 else 3.4
        for place, _ in enumerate(topics.clusters):
            own = [(x, y) for x, y, cluster in topics.places if cluster == place]
            xs, ys = zip(*own, strict=True)
            colour = svg.SERIES[place % len(svg.SERIES)]
            marker = "os^Dv"[place // len(svg.SERIES)]
            axes.plot(xs, ys, marker, ms=size, color=colour, alpha=0.55, mew=0)
            middle = (median(xs), median(ys))
            axes.annotate(
                str(place + 1), middle, ha="center", va="center", fontsize=10, weight="bold"
            )
        axes.set_xticks([])
        axes.set_yticks([])
        axes.set_xlabel("first direction")
        axes.set_ylabel("second direction")

    note = f"{topics.of:,} of {topics.seen:,} openings; the numbers are those of the list."
    return figure("Openings", note, draw, (WIDTH, 3.8))


def topic_sizes_chart(topics: Topics) -> str:
    """How large the clusters are."""
    clusters = topics.clusters

    def draw(axes: Any) -> None:
        places = range(len(clusters) - 1, -1, -1)
        colours = [svg.SERIES[place % len(svg.SERIES)] for place in range(len(clusters))]
        axes.barh(places, [one.share for one in clusters], height=0.7, color=colours)
        names = [
            f"{n} {svg.short(', '.join(one.words[:2]))}" for n, one in enumerate(clusters, start=1)
        ]
        axes.set_yticks(list(places), names)
        axes.set_xlabel("share of openings")
        svg.bare(axes, across=False)

    note = "The words that tell each cluster apart."
    return figure("Clusters", note, draw, (WIDTH, 1.0 + 0.24 * len(clusters)))


def similarity_chart(groups: RepeatGroups) -> str:
    """How alike dropped turns are to what they fell for."""
    found = {name: counts for name, counts in groups.similarities.items() if any(counts)}

    def draw(axes: Any) -> None:
        bins = len(next(iter(found.values())))
        edges = [i / bins for i in range(bins + 1)]
        for place, (name, counts) in enumerate(found.items()):
            colour = svg.SERIES[(place + 3) % len(svg.SERIES)]
            axes.stairs(counts, edges, color=colour, lw=1.6, label=svg.short(name))
        axes.set_xlabel("likeness (1: the same)")
        axes.set_ylabel("turns")
        axes.set_xlim(0, 1)
        axes.set_ylim(0, None)
        svg.bare(axes, across=True)
        axes.legend(loc="upper left", handlelength=1.4)

    note = "To the kept turn that each fell for; surplus turns: to the one most like them."
    return figure("How alike", note, draw, (WIDTH, 2.7)) if found else ""


def sizes_chart(groups: RepeatGroups) -> str:
    """How many turns fell for one keeper."""
    found = bands(groups.sizes)

    def draw(axes: Any) -> None:
        axes.bar([name for name, _ in found], [n for _, n in found], color=svg.SERIES[3], width=0.7)
        for place, (_, number) in enumerate(found):
            axes.annotate(count(number), (place, number), ha="center", va="bottom", fontsize=8.5)
        axes.set_xlabel("turns that fell for one keeper")
        axes.set_ylabel("keepers")
        axes.margins(y=0.15)
        svg.bare(axes, across=True)

    note = "By how many turns fell for each; a keeper is counted once in each wave."
    return figure("Groups of repeats", note, draw, (WIDTH, 2.7)) if len(found) > 1 else ""
