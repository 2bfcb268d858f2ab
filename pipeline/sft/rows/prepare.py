"""From a spec's parts to the rows to train on, on disk, in the order of training."""

import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.sft.example import Example
from pipeline.sft.rows.mix import Ingredient, Order, blend
from pipeline.sft.rows.part_rows import Counts, PartRows, find, write
from pipeline.sft.rows.run_source import OpenRun
from pipeline.sft.rows.sources import Source, open_source
from pipeline.sft.trainee import Trainee
from pipeline.sft.training.steps import Steps
from pipeline.sft.training.watch import Watch
from schemas.errors import LocationError, ModelError, SpecError
from schemas.manifest import BadRow
from schemas.sft_spec import SftSpec, TrainingSpec

_SHOWN = 5
_SAY_EVERY_S = 10.0


@dataclass(frozen=True, eq=False)
class Mixture:
    """What is trained on."""

    dataset: Any
    """A `datasets.Dataset` in the order of training, its rows memory-mapped: `input_ids`, `labels`
    (-100 where nothing is learned), `part` (which of the spec's, in their order). Where any part
    learns from stored distributions, `target_at` (which ids they are of), `target_ids` and
    `target_logprobs` (those of the first, then those of the second...) and `target_tail`."""
    counts: dict[str, dict[str, Any]]
    """By part: what its source had, and what of it is in the mixture. Plain JSON."""
    sources: dict[str, dict[str, Any]]
    """By part: where its rows came from. Plain JSON."""


def prepare(
    spec: SftSpec, trainee: Trainee, folder: Path, watch: Watch, open_run: OpenRun
) -> Mixture:
    """The mixture that a spec asks for. Rows that lie in `folder` and are certainly the same are
    not made again."""
    max_length = _max_length(spec.training, trainee)
    targets = any(part.objective == "stored_kl" for part in spec.parts.values())
    rows: dict[str, PartRows] = {}
    sources: dict[str, dict[str, Any]] = {}
    for name, part in spec.parts.items():
        try:
            source = open_source(part, spec, trainee, open_run)
            longest = max_length - _room(spec, source, max_length)
            sieve = _Sieve(name, source, spec.training.too_long, longest, watch)
            rows[name] = sieve.rows_in(folder, targets=targets)
        except (SpecError, LocationError, ModelError) as error:
            raise type(error)(f"parts.{name}: {error}") from error
        sources[name] = source.about | {"rows": rows[name].digest}
        for note in source.about.get("notes", ()):
            watch.say(f"parts.{name}: {note}.")
    return _mixed(spec, rows, sources)


def _max_length(training: TrainingSpec, trainee: Trainee) -> int:
    if training.max_length is not None and training.max_length > trainee.context:
        raise SpecError(
            f"training.max_length: found {training.max_length:,}; expected at most the "
            f"{trainee.context:,} tokens that the model in {trainee.location} takes."
        )
    return training.max_length or trainee.context


def _room(spec: SftSpec, source: Source, max_length: int) -> int:
    """What must be left of a row for the answer that is sampled to it."""
    room = spec.rollouts.max_tokens if source.prompts else 0
    if room >= max_length:
        raise SpecError(
            f"rollouts.max_tokens: found {room:,}, which leaves no room for a prompt; expected "
            f"less than the {max_length:,} tokens that training.max_length or the model allows."
        )
    return room


class _Sieve:
    """Lets through what can be trained on, and counts the rest."""

    def __init__(
        self, name: str, source: Source, too_long: str, max_length: int, watch: Watch
    ) -> None:
        self._name, self._source, self._watch = name, source, watch
        self._too_long, self._max_length = too_long, max_length
        self._prompts = source.prompts
        self._counts = Counts()
        self._refused, self._longest = 0, (0, "")

    def rows_in(self, folder: Path, *, targets: bool) -> PartRows:
        """The rows in a folder, made if they are not there."""
        settings = {"max_length": self._max_length, "too_long": self._too_long, "targets": targets}
        name = self._source.name(**settings)
        if (there := find(folder, name)) is not None:
            self._watch.say(f"{self._name}: {there.counts.rows:,} rows, prepared before.")
            return there
        made = write(folder, name, self._examples(), self._counts, targets=targets)
        self._watch.say(f"{self._name}: {made.counts.rows:,} rows prepared.")
        return made

    def _examples(self) -> Iterator[Example]:
        counts, told = self._counts, time.monotonic()
        for row in self._source.examples():
            if isinstance(row, BadRow):
                self._count_bad(row)
            elif (example := self._fitting(row)) is not None:
                counts.rows += 1
                counts.tokens += len(example.ids)
                counts.learned += int(example.learned.sum())
                yield example
            if time.monotonic() - told > _SAY_EVERY_S:
                told = time.monotonic()
                self._watch.say(f"{self._name}: {counts.rows:,} rows so far.")
        self._check()

    def _count_bad(self, row: BadRow) -> None:
        self._counts.bad += 1
        if len(self._counts.bad_examples) < _SHOWN:
            self._counts.bad_examples.append(row.model_dump())

    def _fitting(self, example: Example) -> Example | None:
        """What is trained on of an example; None if nothing."""
        if self._prompts and example.learned.any():
            example = example.cut(int(example.learned.argmax()))
        if len(example.ids) > self._max_length:
            self._longest = max(self._longest, (len(example.ids), example.source))
            # A prompt without its end asks something else.
            if self._prompts or self._too_long != "cut":
                self._counts.left_out += 1
                return None
            self._counts.cut += 1
            example = example.cut(self._max_length)
        if not self._prompts and not example.learned.any():
            self._counts.unlearned += 1
            return None
        return example

    def _check(self) -> None:
        counts = self._counts
        if counts.left_out and self._too_long == "refuse":
            length, where = self._longest
            allowed, advice = "allows", "to `cut` or `leave_out`"
            if self._prompts:
                allowed = "allows beside an answer of rollouts.max_tokens"
                advice = "to `leave_out`, or rollouts.max_tokens lower"
            raise SpecError(
                f"{counts.left_out:,} of {counts.left_out + counts.rows:,} rows are longer than "
                f"{self._max_length:,} tokens, which training.max_length or the model {allowed}; "
                f"the longest, {where}, has {length:,}. Set training.too_long {advice}."
            )
        if not counts.rows:
            raise SpecError(
                f"no row is left to train on: {counts.unlearned:,} have nothing that carries loss, "
                f"{counts.left_out:,} are longer than {self._max_length:,} tokens, {counts.bad:,} "
                "cannot be read. Look at `loss`, at the answers in the source, and at "
                "training.max_length."
            )


def _mixed(spec: SftSpec, rows: dict[str, PartRows], sources: dict[str, dict[str, Any]]) -> Mixture:
    sizes = {name: part.sizes() for name, part in rows.items()}
    parts = [
        Ingredient(name, sizes[name][0], part.share, part.passes)
        for name, part in spec.parts.items()
    ]
    order = _taken(blend(parts, spec.mix), spec)
    counts = {
        name: asdict(part.counts) | _used(order.row[order.part == number], *sizes[name])
        for number, (name, part) in enumerate(rows.items())
    }
    return Mixture(_dataset(list(rows.values()), order), counts, sources)


def _taken(order: Order, spec: SftSpec) -> Order:
    """What of it the steps take that there are."""
    training, rows = spec.training, len(order.row)
    size, times, processes = training.batch_rows, training.accumulate, spec.launch.processes
    used = Steps(rows, size, times, processes, at_most=training.max_steps).rows_used
    return Order(order.part[:used], order.row[:used])


def _used(rows: Any, lengths: Any, learned: Any) -> dict[str, Any]:
    return {
        "used_rows": len(rows),
        "used_tokens": int(lengths[rows].sum()),
        "used_learned": int(learned[rows].sum()),
        "passes": round(len(rows) / len(lengths), 6),
    }


def _dataset(parts: list[PartRows], order: Order) -> Any:
    from datasets import Dataset, concatenate_datasets

    loaded = [
        Dataset.from_file(str(part.file))
        .remove_columns("learned")
        .add_column("part", np.full(part.counts.rows, number, np.int16))
        for number, part in enumerate(parts)
    ]
    before = np.cumsum([0, *(part.counts.rows for part in parts)])
    return concatenate_datasets(loaded).select(before[order.part] + order.row)
