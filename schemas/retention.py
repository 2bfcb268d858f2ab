"""What a model was found to know, item by item, and what became of it by training.

`Measured` is one model. It keeps a number for every item, so that two models that were asked the
same can be compared item by item; `items` is the digest of what was asked. `Retention` is the
comparison.
"""

from collections.abc import Iterator, Mapping, Sequence
from math import fsum
from typing import Literal

from schemas.filter_spec import Strict

Numbers = tuple[float, ...]
Counts = tuple[int, ...]
Kind = Literal["choices", "texts", "samples", "task", "harness"]


class MeasuredChoices(Strict):
    """Questions with several answers: how likely each of them is."""

    items: str
    questions: tuple[str, ...]
    choices: tuple[tuple[str, ...], ...]
    answers: Counts
    """By question, which choice is right."""
    scores: tuple[Numbers, ...]
    """By question and choice, its log-probability after the question, a byte of its text."""

    @property
    def right(self) -> tuple[bool, ...]:
        """By question, whether the right choice is likelier than all others."""
        return tuple(margin > 0 for margin in self.margins)

    @property
    def margins(self) -> Numbers:
        """By question, by how much the right choice is likelier than the best of the others."""
        return tuple(map(_margin, self.scores, self.answers))

    @property
    def chance(self) -> float:
        """The share of right answers of who picks blindly."""
        return fsum(1 / len(choices) for choices in self.choices) / len(self.choices)

    def figures(self) -> dict[str, float]:
        """Means over the items, by measure."""
        return {"accuracy": mean(self.right), "margin": mean(self.margins)}


class MeasuredTexts(Strict):
    """Texts, and how surprising they are."""

    items: str
    nll: Numbers
    """By text, the negative log-likelihood of its tokens, in nats."""
    tokens: Counts

    def figures(self) -> dict[str, float]:
        """Nats a token, by measure."""
        return {"nll": fsum(self.nll) / sum(self.tokens)}


class MeasuredSamples(Strict):
    """Texts of the reference's own, and how far from it the model reads them."""

    items: str
    kl: Numbers
    """By text, the mean over its tokens of KL(reference || model), in nats."""
    tokens: Counts
    cka: Numbers
    """By layer from the embeddings up, the linear CKA of the two models' states; () if they are of
    different shapes."""
    layers: Counts = ()
    """Which layers these are."""
    bad: int = 0
    """So many rows could not be read."""
    left_out: int = 0
    """So many have nothing to ask about within the tokens that are read."""

    def figures(self) -> dict[str, float]:
        """Means, by measure; of CKA over the layers."""
        found = {"kl": mean(self.kl)}
        return found | ({"cka": mean(self.cka)} if self.cka else {})


class MeasuredTask(Strict):
    """Held-out rows of what was learned."""

    items: str
    nll: Numbers
    """By row, the negative log-likelihood of its answer, in nats."""
    tokens: Counts
    """By row, how many that are."""
    right: tuple[bool, ...] | None = None
    """By row, whether the written answer comes to what it should; None if none were written."""
    written: tuple[str, ...] = ()
    bad: int = 0
    """So many rows could not be read."""
    left_out: int = 0
    """So many are longer than the model takes, or have no answer."""

    def figures(self) -> dict[str, float]:
        """Nats a token and the share of right answers, by measure."""
        found = {"nll": fsum(self.nll) / sum(self.tokens)}
        return found | ({} if self.right is None else {"accuracy": mean(self.right)})


class MeasuredMetric(Strict):
    """What lm-evaluation-harness found of one task by one of its metrics."""

    items: str
    value: float
    error: float | None = None
    """The standard error, as the harness gives it."""
    higher_is_better: bool = True
    by_item: Numbers = ()
    """() where the metric has no value for an item."""

    def figures(self) -> dict[str, float]:
        """The value; the metric is part of the name."""
        return {"value": self.value}


AnyMeasured = MeasuredChoices | MeasuredTexts | MeasuredSamples | MeasuredTask | MeasuredMetric


class Measured(Strict):
    """One model."""

    model: str
    """Its directory."""
    weights: str
    """Digest."""
    reference: str = ""
    """Directory of the model that samples were compared with; empty for none."""
    reference_weights: str = ""
    device: str
    dtype: str
    choices: dict[str, MeasuredChoices] = {}
    texts: dict[str, MeasuredTexts] = {}
    samples: dict[str, MeasuredSamples] = {}
    task: dict[str, MeasuredTask] = {}
    harness: dict[str, MeasuredMetric] = {}
    """By `task metric`."""
    seconds: dict[str, float] = {}
    """By kind and name, how long it took."""

    @property
    def conditions(self) -> str:
        """What another measurement must share to be compared: the kind of device, and the numbers;
        empty where nothing was measured."""
        return ", ".join(filter(None, (self.device.partition(":")[0], self.dtype)))

    def notes(self) -> tuple[str, ...]:
        """Which sets lack rows, in sentences."""
        notes = [note for name, one in self.samples.items() for note in _lacking(name, one)]
        notes += [note for name, one in self.task.items() for note in _lacking(name, one)]
        return tuple(notes)

    def sets(self) -> dict[tuple[Kind, str], AnyMeasured]:
        """All that was measured, by kind and name."""
        by_kind: Mapping[Kind, Mapping[str, AnyMeasured]] = {
            "choices": self.choices,
            "texts": self.texts,
            "samples": self.samples,
            "task": self.task,
            "harness": self.harness,
        }
        return {(kind, name): m for kind, sets in by_kind.items() for name, m in sets.items()}

    def figures(self) -> dict[str, float]:
        """One number a measure, by `kind.name.measure`."""
        return {
            f"{kind}.{name}.{measure}": value
            for (kind, name), measured in self.sets().items()
            for measure, value in measured.figures().items()
        }


class Interval(Strict):
    """An estimate and how sure it is."""

    value: float
    se: float | None = None
    """Standard error; None where one item, or several that are all the same, tell nothing of it."""
    low: float | None = None
    high: float | None = None
    """Where the truth lies with the confidence that was asked for, 95% where nothing else is
    said."""
    n: int
    """Of so many items."""

    @property
    def sure(self) -> bool:
        """Whether the interval leaves out zero."""
        return self.low is not None and self.high is not None and (self.low > 0 or self.high < 0)


class Flips(Strict):
    """How right and wrong answers changed sides."""

    lost: int
    """Right before, wrong after."""
    won: int
    p: float
    """How often so uneven a split, or one more so, comes by chance (exact McNemar test)."""


class Change(Strict):
    """One measure, before and after."""

    kind: Kind
    name: str
    measure: str
    higher_is_better: bool
    before: Interval
    after: Interval
    difference: Interval
    """After less before, item by item."""
    flips: Flips | None = None
    chance: float | None = None

    @property
    def verdict(self) -> Literal["better", "worse", "unsure"]:
        """What the difference says, if its interval leaves out zero."""
        if not self.difference.sure:
            return "unsure"
        return "better" if (self.difference.value > 0) == self.higher_is_better else "worse"


class Retention(Strict):
    """Two models on the same items: what was kept and what was learned."""

    before: Measured
    after: Measured
    changes: tuple[Change, ...]

    def change(self, kind: Kind, name: str, measure: str) -> Change:
        """One of them."""
        wanted = (kind, name, measure)
        return next(c for c in self.changes if (c.kind, c.name, c.measure) == wanted)


def _lacking(name: str, one: MeasuredSamples | MeasuredTask) -> Iterator[str]:
    kind = "task" if isinstance(one, MeasuredTask) else "samples"
    if one.bad:
        yield f"{kind}.{name}: {one.bad:,} rows could not be read, and were not asked."
    if one.left_out:
        yield (
            f"{kind}.{name}: {one.left_out:,} rows were left out, being too long or with nothing "
            "to ask about."
        )


def mean(values: Sequence[float]) -> float:
    """Of what need not be many, but at least one."""
    return fsum(values) / len(values)


def _margin(scores: Numbers, answer: int) -> float:
    return scores[answer] - max(score for i, score in enumerate(scores) if i != answer)
