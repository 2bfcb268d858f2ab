"""What the model knew before and knows after, where the spec names anything to measure."""

import json
import shutil
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from jobs.sealed_runs import opener
from jobs.trainee import load_trainee
from jobs.training.progress import TrainingProgress
from pipeline.sft.trainee import Trainee
from pipeline.sft.training.places import local
from schemas.retention import Measured, Retention
from schemas.sft_spec import RetentionSpec, SftSpec

if TYPE_CHECKING:
    from pipeline.retention.measure import Watch


def measure_as_asked(
    spec: RetentionSpec,
    trainee: Trainee,
    original: Trainee | None,
    options: dict[str, Any],
    watch: "Watch",
) -> Measured:
    """All that the spec names, where items come from runs too."""
    from pipeline.retention.measure import measure

    opened = opener(options)
    return measure(spec, trainee, original, options=options, open_run=opened, watch=watch)


class Measuring:
    """Both measurements of a training, on the same items."""

    def __init__(self, spec: SftSpec, trainee: Trainee, progress: TrainingProgress) -> None:
        self._spec, self._trainee, self._progress = spec, trainee, progress
        self._file = local(spec.output) / "before.json"

    def before(self) -> Measured:
        """The trainee's, which an earlier attempt may have made of the very same."""
        key = self._key()
        if (there := self._kept(key)) is not None:
            return there
        return self._measured_before(key)

    def retention(self, model: Path) -> Retention:
        """What became of that in the trained model."""
        lora = self._spec.tuning.lora
        if lora is None or lora.merge or not self._asked:
            return self._compared(model)
        from pipeline.sft.training.saving import merge_into

        merged = local(self._spec.output) / ".merged"
        merge_into(merged, model, Path(self._trainee.location))
        try:
            return self._compared(merged)
        finally:
            shutil.rmtree(merged)

    def _compared(self, model: Path) -> Retention:
        from pipeline.retention.compare import compare

        before, after = self.before(), self._after(model)
        if _asked_alike(before) != _asked_alike(after):
            # Of what the harness asks nothing is known before it has asked.
            before = self._measured_before(self._key())
        return compare(before, after)

    def _measured_before(self, key: dict[str, Any]) -> Measured:
        measured = self._measured(self._trainee)
        content = {"key": key, "measured": measured.model_dump(mode="json")}
        half = self._file.with_name(f".{self._file.name}")
        half.write_text(json.dumps(content), "utf-8")
        half.replace(self._file)
        return measured

    def _kept(self, key: dict[str, Any]) -> Measured | None:
        """What lies there, if it can be read and is of this key."""
        try:
            there = json.loads(self._file.read_bytes())
            return Measured.model_validate(there["measured"]) if there["key"] == key else None
        except (OSError, ValueError, KeyError, TypeError, ValidationError):
            return None

    def _key(self) -> dict[str, Any]:
        """All that decides what is measured before."""
        spec, weights = self._spec, self._trainee.weights
        key = {"asked": spec.retention.model_dump(mode="json"), "weights": weights}
        if not self._asked:
            return key
        from pipeline.retention.measure import items_asked
        from pipeline.retention.reader import conditions

        items = items_asked(
            spec.retention,
            self._trainee,
            self._original,
            options=spec.storage_options,
            open_run=opener(spec.storage_options),
        )
        return key | {
            "items": items,
            "original": self._original.weights,
            "conditions": list(conditions()),
        }

    def _after(self, model: Path) -> Measured:
        if not self._asked:
            return Measured(model=str(model), weights="", device="", dtype="")
        return self._measured(load_trainee(str(model)))

    @property
    def _asked(self) -> bool:
        asked = self._spec.retention
        return any((asked.choices, asked.texts, asked.samples, asked.task, asked.harness))

    @cached_property
    def _original(self) -> Trainee:
        return load_trainee(self._spec.teacher) if self._spec.teacher else self._trainee

    def _measured(self, trainee: Trainee) -> Measured:
        if not self._asked:
            return Measured(model=trainee.location, weights=trainee.weights, device="", dtype="")
        spec, watch = self._spec, self._progress.measuring
        options = spec.storage_options
        return measure_as_asked(spec.retention, trainee, self._original, options, watch)


def _asked_alike(measured: Measured) -> dict[tuple[str, str], str]:
    """By kind and name, the digest of what was asked."""
    return {key: one.items for key, one in measured.sets().items()}
