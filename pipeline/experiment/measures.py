"""Measures: what numbers of a measured model the table compares, and which way is better."""

from collections.abc import Sequence
from statistics import fmean
from typing import NamedTuple

from schemas.experiment_result import Group
from schemas.fingerprint import canonical, digest
from schemas.retention import (
    AnyMeasured,
    Kind,
    Measured,
    MeasuredChoices,
    MeasuredMetric,
    MeasuredSamples,
    MeasuredTask,
    MeasuredTexts,
)

LOWER_IS_BETTER = {"nll", "kl"}

TITLES = {
    "accuracy": "accuracy",
    "margin": "margin (nats a byte)",
    "nll": "nats a token",
    "kl": "KL to the original",
    "cka": "CKA",
    "value": "",
}


class Measure(NamedTuple):
    """One number of a model."""

    kind: Kind
    measure: str
    names: tuple[str, ...]
    """Whose mean it is."""
    pooled: bool
    """Whether it stands for all sets of its kind."""
    higher_is_better: bool

    @property
    def key(self) -> str:
        """As results name it."""
        return ".".join([self.kind, *([] if self.pooled else self.names), self.measure])

    @property
    def group(self) -> Group:
        """What it is about."""
        return "task" if self.kind == "task" else "retention"

    @property
    def title(self) -> str:
        """For people."""
        whose = f"{self.kind} ({len(self.names)} sets)" if self.pooled else "".join(self.names)
        if self.kind == "task":
            whose = f"task {whose}"
        return f"{whose}: {TITLES[self.measure]}".removesuffix(": ")


def measures_of(measured: Measured) -> list[Measure]:
    """All there are: by kind first the mean over its sets, then each set."""
    found: dict[tuple[Kind, str], list[str]] = {}
    for (kind, name), one in measured.sets().items():
        for measure in one.figures():
            found.setdefault((kind, measure), []).append(name)
    result = []
    for (kind, measure), names in found.items():
        if len(names) > 1 and kind != "harness":
            higher = measure not in LOWER_IS_BETTER
            result.append(Measure(kind, measure, tuple(names), True, higher))
        result += [_single(measured, kind, measure, name) for name in names]
    return result


def _single(measured: Measured, kind: Kind, measure: str, name: str) -> Measure:
    one = measured.sets()[kind, name]
    higher = (
        one.higher_is_better if isinstance(one, MeasuredMetric) else measure not in LOWER_IS_BETTER
    )
    return Measure(kind, measure, (name,), False, higher)


def value_of(measured: Measured, measure: Measure) -> float:
    """A model by a measure."""
    sets = measured.sets()
    return fmean(sets[measure.kind, name].figures()[measure.measure] for name in measure.names)


def asked_of(measured: Measured) -> str:
    """Digest of all items, and of the kind of device and numbers that they were read with: models
    can be compared where it is the same."""
    found = {f"{kind}.{name}": one.items for (kind, name), one in measured.sets().items()}
    return digest(canonical([found, measured.conditions]))


class Items(NamedTuple):
    """A measure item by item: its value is the weighted mean."""

    values: Sequence[float]
    weights: Sequence[float] | None = None


def items_of(measured: Measured, measure: Measure) -> Items | None:
    """What each item gave; None for means over sets, and where items have no value."""
    if len(measure.names) > 1:
        return None
    one = measured.sets()[measure.kind, measure.names[0]]
    return _items(one, measure.measure)


def _items(one: AnyMeasured, measure: str) -> Items | None:
    if isinstance(one, MeasuredChoices):
        return Items([float(r) for r in one.right] if measure == "accuracy" else one.margins)
    if isinstance(one, MeasuredSamples):
        return Items(one.kl) if measure == "kl" else None
    if isinstance(one, MeasuredMetric):
        return Items(one.by_item) if one.by_item else None
    return _of_texts(one, measure)


def _of_texts(one: MeasuredTexts | MeasuredTask, measure: str) -> Items | None:
    if measure == "nll":
        tokens = [float(n) for n in one.tokens]
        rates = [nll / n if n else 0.0 for nll, n in zip(one.nll, tokens, strict=True)]
        return Items(rates, tokens)
    if isinstance(one, MeasuredTask) and one.right is not None:
        return Items([float(right) for right in one.right])
    return None
