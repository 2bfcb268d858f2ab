"""All that a spec names, measured of one model.

Everything is read and spelled before the weights are loaded, so that what is wrong with an item is
said at once. The original is loaded only where its own samples are measured.
"""

import logging
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, NamedTuple

from pipeline.retention import rows as reading
from pipeline.retention.cloze import measure_choices, questions_digest
from pipeline.retention.gain import measure_task
from pipeline.retention.harness import check_harness, measure_harness
from pipeline.retention.items import read_choices, read_texts
from pipeline.retention.perplexity import measure_texts, text_rows
from pipeline.retention.questions import spell_question
from pipeline.retention.reader import Reader, load_reader
from pipeline.retention.samples import Pair, itself, measure_samples
from pipeline.retention.sources import Options, Sources, sample_rows, task_rows
from pipeline.sft.rows.run_source import OpenRun
from pipeline.sft.trainee import Trainee
from schemas.errors import SpecError
from schemas.retention import (
    AnyMeasured,
    Kind,
    Measured,
    MeasuredMetric,
    MeasuredSamples,
    MeasuredTask,
)
from schemas.sft_spec import ChoicesSpec, GainSpec, RetentionSpec, SamplesSpec, TextsSpec

log = logging.getLogger(__name__)

Watch = Callable[[str, int, int], None]
"""Told how far a measure is: its name, how many of its items are done, and of how many."""


def measure(
    spec: RetentionSpec,
    trainee: Trainee,
    original: Trainee | None = None,
    *,
    options: Options = None,
    open_run: OpenRun | None = None,
    watch: Watch = lambda name, done, of: None,
) -> Measured:
    """One model, and how far it is from the original on the original's own samples; without an
    original these are left out. `options` are those of the filesystem; a run can only be named
    where somebody can open it."""
    if spec.harness is not None:
        check_harness()
    models = _Models(trainee, original)
    asked = dict(_asked(spec, models, Sources(options, open_run)))
    found: defaultdict[Kind, dict[str, AnyMeasured]] = defaultdict(dict)
    seconds: dict[str, float] = {}
    with _timed(seconds, "loading"):
        reader = models.model
    for (kind, name), ask in asked.items():
        title = f"{kind}.{name}"
        with _timed(seconds, title):
            found[kind][name] = ask.of(models, spec.batch_rows, partial(watch, title))
    return Measured(
        model=trainee.location,
        weights=trainee.weights,
        reference=original.location if original and spec.samples else "",
        reference_weights=original.weights if original and spec.samples else "",
        device=str(reader.device),
        dtype=reader.dtype,
        harness=_harness(spec, models, seconds),
        seconds=seconds,
        **found,  # type: ignore[arg-type]
    )


def items_asked(
    spec: RetentionSpec,
    trainee: Trainee,
    original: Trainee | None = None,
    *,
    options: Options = None,
    open_run: OpenRun | None = None,
) -> dict[str, str]:
    """By kind and name, the digest of what `measure` would ask now; no weights are loaded."""
    asked = _asked(spec, _Models(trainee, original), Sources(options, open_run))
    return {f"{kind}.{name}": ask.items for (kind, name), ask in asked}


@dataclass
class _Models:
    """The model and the original, loaded when they are asked."""

    trainee: Trainee
    original_trainee: Trainee | None

    @cached_property
    def model(self) -> Reader:
        return load_reader(self.trainee.location)

    @cached_property
    def original(self) -> Reader | None:
        """None where the model is the original."""
        other = self.original_trainee
        if other is None or other.weights == self.trainee.weights:
            return None
        return load_reader(other.location)


class Ask(NamedTuple):
    """One set of items, ready to be asked."""

    items: str
    """Digest."""
    of: Callable[[_Models, int, reading.Watch], AnyMeasured]
    """Measures it."""


def _asked(
    spec: RetentionSpec, models: _Models, sources: Sources
) -> Iterator[tuple[tuple[Kind, str], Ask]]:
    """What is to be asked, spelled; an error says which item of which set cannot be."""
    kinds: dict[Kind, tuple[dict[str, Any], Callable[..., Ask]]] = {
        "choices": (spec.choices, _ask_choices),
        "texts": (spec.texts, _ask_texts),
        "samples": (spec.samples if models.original_trainee else {}, _ask_samples),
        "task": (spec.task, _ask_task),
    }
    for kind, (sets, make) in kinds.items():
        for name, section in sets.items():
            try:
                yield (kind, name), make(section, models, sources)
            except SpecError as error:
                raise SpecError(f"retention.{kind}.{name}: {error}") from error


def _ask_choices(spec: ChoicesSpec, models: _Models, sources: Sources) -> Ask:
    questions = read_choices(spec, sources.options)
    clozes = [spell_question(models.trainee, question, spec) for question in questions]
    return Ask(
        questions_digest(questions),
        lambda found, size, watch: measure_choices(found.model, questions, clozes, size, watch),
    )


def _ask_texts(spec: TextsSpec, models: _Models, sources: Sources) -> Ask:
    rows = text_rows(models.trainee, read_texts(spec, sources.options), spec.max_tokens)
    return Ask(
        reading.rows_digest(rows),
        lambda found, size, watch: measure_texts(found.model, rows, size, watch),
    )


def _ask_samples(spec: SamplesSpec, models: _Models, sources: Sources) -> Ask:
    trainee, original = models.trainee, models.original_trainee
    if original is None or trainee.dialect.tokenizer != original.dialect.tokenizer:
        raise SpecError(
            f"{trainee.location} has another tokenizer than the original, so their next tokens "
            "cannot be compared. Expected the model that it was trained from, or no samples."
        )
    there = sample_rows(spec, original, sources)

    def ask(found: _Models, size: int, watch: reading.Watch) -> MeasuredSamples:
        if found.original is None:
            measured = itself(found.model, there.rows)
        else:
            pair = Pair(found.original, found.model)
            measured = measure_samples(pair, there.rows, size, watch)
        return measured.model_copy(update=there.counts)

    return Ask(reading.rows_digest(there.rows), ask)


def _ask_task(spec: GainSpec, models: _Models, sources: Sources) -> Ask:
    trainee = models.trainee
    there = task_rows(spec, trainee, sources)

    def ask(found: _Models, size: int, watch: reading.Watch) -> MeasuredTask:
        measured = measure_task(found.model, trainee, spec, there.rows, size, watch)
        return measured.model_copy(update=there.counts)

    return Ask(reading.rows_digest(there.rows), ask)


def _harness(
    spec: RetentionSpec, models: _Models, seconds: dict[str, float]
) -> dict[str, MeasuredMetric]:
    if spec.harness is None:
        return {}
    with _timed(seconds, "harness"):
        return measure_harness(models.model, models.trainee, spec.harness)


@contextmanager
def _timed(seconds: dict[str, float], name: str) -> Iterator[None]:
    began = time.monotonic()
    yield
    seconds[name] = round(time.monotonic() - began, 2)
    log.info("%s took %.1f s", name, seconds[name])
