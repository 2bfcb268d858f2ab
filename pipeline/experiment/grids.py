"""Grids: the result as tables of words, which a terminal, Markdown and a page show alike."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from pipeline.experiment.budgets import sums
from schemas.experiment_result import (
    Budget,
    Entry,
    ExperimentResult,
    Group,
    MeasureTable,
    Recovered,
)
from schemas.experiment_spec import ORIGINAL
from schemas.retention import Interval

NONE = "-"


class Grid(NamedTuple):
    """One table."""

    title: str
    note: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def headlines(result: ExperimentResult, group: Group) -> list[MeasureTable]:
    """Of each kind of number the one that stands for all its sets."""
    mine = [m for m in result.measures if m.group == group]
    pooled = {_kind(m) for m in mine if m.sets > 1}
    return [m for m in mine if m.sets > 1 or _kind(m) not in pooled]


def _kind(measure: MeasureTable) -> tuple[str, str]:
    parts = measure.key.split(".")
    return parts[0], parts[-1]


def grids(result: ExperimentResult) -> list[Grid]:
    """What was kept, what was learned, and all measures one by one."""
    found = [_kept(result), _learned(result), _budgets(result)]
    return [grid for grid in (*found, _chosen_on(result), _all(result)) if grid.rows]


def _kept(result: ExperimentResult) -> Grid:
    measures = headlines(result, "retention")
    columns = [c for m in measures for c in (_arrow(m), "recovered")]
    return Grid(
        "What was kept",
        f"{_over(result)} Recovered: the share of what `{result.reference}` lost that an arm did "
        "not lose, with Fieller's interval; `unbounded` where the loss itself is in doubt.",
        ("arm", *columns),
        (
            (ORIGINAL, *(c for m in measures for c in (_number(m.original), NONE))),
            *(_row(arm, measures, _kept_cells) for arm in _done(result)),
        ),
    )


def _learned(result: ExperimentResult) -> Grid:
    measures = headlines(result, "task")
    columns = [c for m in measures for c in (_arrow(m), f"less {result.reference}'s")]
    if not measures:
        return Grid("What was learned", "", (), ())
    return Grid(
        "What was learned",
        f"{_over(result)} On rows of the task that were not trained on; the difference is seed by "
        "seed.",
        ("arm", *columns),
        (
            (ORIGINAL, *(c for m in measures for c in (_number(m.original), NONE))),
            *(_row(arm, measures, _learned_cells) for arm in _done(result)),
        ),
    )


def _budgets(result: ExperimentResult) -> Grid:
    return Grid(
        "What each arm was trained on",
        "Tokens are all ids of a row; learned are those that carry loss, of task and replay.",
        ("arm", "task tokens", "replay tokens", "learned", "rows a step", "steps", "s a cell"),
        tuple(
            (arm, *_budget_cells(budget, result.task), f"{result.seconds.get(arm, 0):,.0f}")
            for arm, budget in result.budgets.items()
        ),
    )


def budget_grid(budgets: dict[str, Budget], task: str) -> Grid:
    """The same before anything is trained."""
    return Grid(
        "Budgets",
        "",
        ("arm", "task tokens", "replay tokens", "learned", "rows a step", "steps"),
        tuple((arm, *_budget_cells(budget, task)) for arm, budget in budgets.items()),
    )


def _budget_cells(budget: Budget, task: str) -> tuple[str, ...]:
    found = sums(budget, task)
    learned = [
        sum(p.learned for name, p in budget.parts.items() if (name == task) is of_task)
        for of_task in (True, False)
    ]
    return (
        f"{found.task:,}",
        f"{found.replay:,}",
        f"{learned[0]:,} + {learned[1]:,}",
        f"{budget.rows_per_step:,}",
        f"{budget.steps:,}",
    )


def _chosen_on(result: ExperimentResult) -> Grid:
    measures = [*headlines(result, "retention"), *headlines(result, "task")]
    return Grid(
        "Where settings were chosen",
        "Means over other seeds than the judged ones; no evidence.",
        ("arm", *map(_arrow, measures)),
        tuple(
            (arm, *(_number(means[m.key]) for m in measures))
            for arm, means in result.chosen_on.items()
        ),
    )


def _all(result: ExperimentResult) -> Grid:
    rows = [
        (
            measure.title,
            arm,
            _number(measure.original),
            interval_text(entry.mean),
            interval_text(entry.difference),
            interval_text(entry.over_items),
            recovered_text(entry.recovered),
        )
        for measure in result.measures
        for arm, entry in measure.arms.items()
    ]
    less = f"less {result.reference}'s"
    return Grid(
        "All measures",
        "Intervals are at 95%: over seeds, how far another training would differ; over items, how "
        "far other questions would.",
        ("measure", "arm", ORIGINAL, "over seeds", less, f"{less}, over items", "recovered"),
        tuple(rows),
    )


def _row(
    arm: str, measures: Sequence[MeasureTable], cells: Callable[[Entry], tuple[str, str]]
) -> tuple[str, ...]:
    return (arm, *(text for m in measures for text in cells(m.arms[arm])))


def _kept_cells(entry: Entry) -> tuple[str, str]:
    return interval_text(entry.mean), recovered_text(entry.recovered)


def _learned_cells(entry: Entry) -> tuple[str, str]:
    return interval_text(entry.mean), interval_text(entry.difference)


def _done(result: ExperimentResult) -> list[str]:
    return list(result.measures[0].arms) if result.measures else []


def _over(result: ExperimentResult) -> str:
    seeds = ", ".join(map(str, result.judged))
    chosen = "; settings were chosen on other seeds" if result.chosen_on else ""
    few = "" if len(result.judged) > 1 else " One seed has no interval."
    return f"Means over the judged seeds {seeds} with 95% intervals{chosen}.{few}"


def _arrow(measure: MeasureTable) -> str:
    return f"{measure.title} {'↑' if measure.higher_is_better else '↓'}"


def interval_text(interval: Interval | None) -> str:
    """A number and where it lies."""
    if interval is None:
        return NONE
    if interval.low is None or interval.high is None:
        return _number(interval.value)
    return f"{_number(interval.value)} [{_number(interval.low)}, {_number(interval.high)}]"


def recovered_text(recovered: Recovered | None) -> str:
    """A share in per cent and where it lies."""
    if recovered is None:
        return NONE
    if recovered.low is None or recovered.high is None:
        return f"{recovered.value:.0%} [unbounded]"
    return f"{recovered.value:.0%} [{recovered.low:.0%}, {recovered.high:.0%}]"


def _number(value: float) -> str:
    # A difference that rounds to nothing has no sign.
    text = f"{value:.3f}"
    return text.removeprefix("-") if float(text) == 0 else text


def pieces(grid: Grid, width: int) -> list[Grid]:
    """Side by side too wide, one below the other: tables of at most so many characters, where two
    columns fit. The first column is in each; what follows stays together by twos."""
    sizes = [_size(grid, column) for column in range(len(grid.columns))]
    groups: list[list[int]] = []
    for first in range(1, len(sizes), 2):
        two = list(range(first, min(first + 2, len(sizes))))
        if groups and sum(sizes[c] for c in [0, *groups[-1], *two]) <= width:
            groups[-1] += two
        else:
            groups.append(two)
    return [_columns(grid, [0, *group], last=group is groups[-1]) for group in groups]


def _size(grid: Grid, column: int) -> int:
    """Of its cells, and of the longest word of its head; a frame takes three more."""
    words = grid.columns[column].split()
    return 3 + max(len(text) for text in (*words, *(row[column] for row in grid.rows)))


def _columns(grid: Grid, columns: Sequence[int], *, last: bool) -> Grid:
    return Grid(
        grid.title,
        grid.note if last else "",
        tuple(grid.columns[c] for c in columns),
        tuple(tuple(row[c] for c in columns) for row in grid.rows),
    )


def markdown(grid: Grid) -> str:
    """As Markdown."""
    lines = [grid.columns, tuple("---" for _ in grid.columns), *grid.rows]
    body = "\n".join(f"| {' | '.join(_escaped(c) for c in line)} |" for line in lines)
    note = f"{grid.note}\n\n" if grid.note else ""
    return f"## {grid.title}\n\n{note}{body}\n"


def _escaped(text: str) -> str:
    return text.replace("|", "\\|")
