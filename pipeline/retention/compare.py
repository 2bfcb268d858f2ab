"""Two models that were asked the same, compared item by item."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial

from pipeline.intervals import count_flips, mean_interval, paired_interval, share_interval
from schemas.errors import SpecError
from schemas.retention import (
    AnyMeasured,
    Change,
    Interval,
    Kind,
    Measured,
    MeasuredChoices,
    MeasuredMetric,
    MeasuredSamples,
    MeasuredTask,
    MeasuredTexts,
    Retention,
)

Values = Sequence[float]
Make = Callable[..., Change]
"""Makes a change of one set of items: all but its name and kind is left to say."""


def compare(before: Measured, after: Measured) -> Retention:
    """What changed from the one to the other; an error where they were not asked the same."""
    _check_conditions(before, after)
    first, second = before.sets(), after.sets()
    if first.keys() != second.keys():
        odd = sorted(".".join(key) for key in first.keys() ^ second.keys())
        raise SpecError(
            f"{before.model} and {after.model} cannot be compared: only one of them was asked "
            f"{', '.join(odd)}. Measure both by the same spec."
        )
    changes = [
        change
        for (kind, name), one in first.items()
        for change in _changes(kind, name, one, second[kind, name])
    ]
    return Retention(before=before, after=after, changes=tuple(changes))


def _check_conditions(before: Measured, after: Measured) -> None:
    """On another device, or in other numbers, the same model would differ from itself."""
    if before.conditions != after.conditions:
        raise SpecError(
            f"{before.model} was measured on {before.conditions} and {after.model} on "
            f"{after.conditions}; expected the same kind of device and of numbers, since otherwise "
            "they differ by more than what became of the model. Measure both anew on one machine."
        )


def _changes(kind: Kind, name: str, one: AnyMeasured, other: AnyMeasured) -> Iterator[Change]:
    if one.items != other.items:
        raise SpecError(
            f"{kind}.{name}: the two models were not asked the same. Either the items changed "
            "between, or the models' tokenizers differ and make other tokens of them; expected "
            "the same items, and for all but choices the same tokenizer."
        )
    make = partial(Change, kind=kind, name=name)
    match one, other:
        case MeasuredChoices(), MeasuredChoices():
            yield from _choices(make, one, other)
        case MeasuredTexts(), MeasuredTexts():
            yield _nll(make, one, other)
        case MeasuredSamples(), MeasuredSamples():
            yield from _samples(make, one, other)
        case MeasuredTask(), MeasuredTask():
            yield from _task(make, one, other)
        case MeasuredMetric(), MeasuredMetric():
            yield _metric(make, one, other)


def _choices(make: Make, one: MeasuredChoices, other: MeasuredChoices) -> Iterator[Change]:
    yield _accuracy(make, one.right, other.right, one.chance)
    make = partial(make, measure="margin", higher_is_better=True)
    yield _means(make, one.margins, other.margins)


def _means(make: Make, one: Values, other: Values, weights: Values | None = None) -> Change:
    return make(
        before=mean_interval(one, weights),
        after=mean_interval(other, weights),
        difference=paired_interval(one, other, weights),
    )


def _accuracy(
    make: Make, one: tuple[bool, ...], other: tuple[bool, ...], chance: float | None = None
) -> Change:
    return make(
        measure="accuracy",
        higher_is_better=True,
        before=share_interval(one),
        after=share_interval(other),
        difference=paired_interval(one, other),
        flips=count_flips(one, other),
        chance=chance,
    )


def _nll(
    make: Make, one: MeasuredTexts | MeasuredTask, other: MeasuredTexts | MeasuredTask
) -> Change:
    """In nats a token of all items together, so long ones count more."""
    first, second = (
        [nll / count for nll, count in zip(m.nll, m.tokens, strict=True)] for m in (one, other)
    )
    make = partial(make, measure="nll", higher_is_better=False)
    return _means(make, first, second, one.tokens)


def _samples(make: Make, one: MeasuredSamples, other: MeasuredSamples) -> Iterator[Change]:
    yield _means(partial(make, measure="kl", higher_is_better=False), one.kl, other.kl)
    if one.cka and other.cka:
        values = [m.figures()["cka"] for m in (one, other)]
        # Layers are no sample of anything, so there is nothing to be sure of.
        yield make(
            measure="cka",
            higher_is_better=True,
            before=Interval(value=values[0], n=len(one.cka)),
            after=Interval(value=values[1], n=len(other.cka)),
            difference=Interval(value=values[1] - values[0], n=len(other.cka)),
        )


def _task(make: Make, one: MeasuredTask, other: MeasuredTask) -> Iterator[Change]:
    yield _nll(make, one, other)
    if one.right is not None and other.right is not None:
        yield _accuracy(make, one.right, other.right)


def _metric(make: Make, one: MeasuredMetric, other: MeasuredMetric) -> Change:
    make = partial(make, measure="value", higher_is_better=one.higher_is_better)
    if one.by_item and len(one.by_item) == len(other.by_item):
        return _means(make, one.by_item, other.by_item)
    return make(
        before=_as_told(one),
        after=_as_told(other),
        difference=Interval(value=other.value - one.value, n=1),
    )


def _as_told(metric: MeasuredMetric) -> Interval:
    return Interval(value=metric.value, se=metric.error, n=max(1, len(metric.by_item)))
