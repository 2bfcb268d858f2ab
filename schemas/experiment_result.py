"""What an experiment found: each cell as it was measured, and the table over all of them."""

from typing import Any, Literal

from schemas.curation_spec import Strict
from schemas.retention import Interval, Measured

Group = Literal["retention", "task"]


class PartBudget(Strict):
    """What is trained on of one part."""

    rows: int
    tokens: int
    """All ids of its rows."""
    learned: int
    """Those that carry loss."""


class Budget(Strict):
    """What an arm is trained on, at one seed."""

    parts: dict[str, PartBudget]
    steps: int
    rows_per_step: int


class CellResult(Strict):
    """One arm at one seed, trained and measured."""

    arm: str
    seed: int
    judged: bool
    asked: str
    """Digest of what the experiment's file asks of it."""
    digest: str
    """Of that and of what it refers to: the model's weights, and the very rows."""
    budget: Budget
    loss: float | None
    """The last that was logged."""
    seconds: dict[str, float]
    """By what was done: prepare, train, measure."""
    measured: Measured


class Recovered(Strict):
    """How much of what the reference arm lost an arm did not lose: 0 as much as it, 1 nothing."""

    value: float
    low: float | None = None
    high: float | None = None
    """Fieller's interval at 95%; None: without bound, because what the reference lost is not
    clearly other than nothing, or there is but one seed."""


class Entry(Strict):
    """An arm by a measure, over the judged seeds."""

    values: dict[int, float]
    """By seed."""
    mean: Interval
    """Over seeds."""
    difference: Interval | None = None
    """To the reference arm, seed by seed; None for itself and for the original."""
    over_items: Interval | None = None
    """The same difference over items, each item's being the mean over the seeds: how far it would
    hold for other questions. None where items do not compare one by one."""
    recovered: Recovered | None = None


class MeasureTable(Strict):
    """All arms by one measure."""

    key: str
    """`kind.name.measure`, or `kind.measure` for the mean over all names."""
    title: str
    group: Group
    higher_is_better: bool
    sets: int = 1
    """The mean over so many."""
    original: float
    """Of the untouched model."""
    arms: dict[str, Entry]


class ExperimentResult(Strict):
    """The whole table."""

    spec: dict[str, Any] = {}
    """The experiment's file: base, arms, seeds and all else but where it lies."""
    digest: str = ""
    """Of that, and of what its runs' files ask for."""
    reference: str
    task: str
    arms: tuple[str, ...]
    """In the spec's order; some may have no cell yet."""
    judged: tuple[int, ...]
    """Seeds that the table is made of."""
    missing: tuple[str, ...] = ()
    """Cells that are not done, as arm/seed."""
    budgets: dict[str, Budget]
    """By arm, at its first seed that is there."""
    seconds: dict[str, float]
    """By arm, of a cell on average."""
    measures: tuple[MeasureTable, ...]
    cka: dict[str, dict[str, tuple[float, ...]]] = {}
    """By set of samples and arm, the mean over the seeds, by layer."""
    layers: dict[str, tuple[int, ...]] = {}
    """By set of samples, which layers these are."""
    chosen_on: dict[str, dict[str, float]] = {}
    """By arm and measure, the means at the seeds where settings were chosen: not evidence."""
