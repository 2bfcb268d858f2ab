"""What the model knew before and knows after, where the spec names anything to measure."""

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from jobs.sealed_runs import opener
from jobs.trainee import load_trainee
from jobs.training.file import output_of
from jobs.training.progress import TrainingProgress
from schemas.retention import Measured, Retention
from schemas.sft_spec import SftSpec

if TYPE_CHECKING:
    from pipeline.sft.trainee import Trainee


class Measuring:
    """Both measurements of a training, on the same items."""

    def __init__(self, spec: SftSpec, trainee: "Trainee", progress: TrainingProgress) -> None:
        self._spec, self._trainee, self._progress = spec, trainee, progress

    def before(self) -> Measured:
        """The trainee's, which an earlier attempt may have made."""
        file = output_of(self._spec) / "before.json"
        asked = self._spec.retention.model_dump(mode="json") | {"teacher": self._spec.teacher}
        if file.is_file():
            there = json.loads(file.read_bytes())
            if there["asked"] == asked and there["weights"] == self._trainee.weights:
                return Measured.model_validate(there["measured"])
        measured = self._measured(self._trainee)
        content = {"asked": asked, "weights": self._trainee.weights}
        content["measured"] = measured.model_dump(mode="json")
        file.write_text(json.dumps(content), "utf-8")
        return measured

    def retention(self, model: Path) -> Retention:
        """What became of that in the trained model."""
        from pipeline.retention.compare import compare

        before = self.before()
        lora = self._spec.tuning.lora
        if lora is None or lora.merge or not self._asked:
            return compare(before, self._after(model))
        from pipeline.sft.training.saving import merge_into

        merged = output_of(self._spec) / ".merged"
        merge_into(merged, model, Path(self._trainee.location))
        try:
            return compare(before, self._after(merged))
        finally:
            shutil.rmtree(merged)

    def _after(self, model: Path) -> Measured:
        if not self._asked:
            return Measured(model=str(model), weights="", device="", dtype="")
        return self._measured(load_trainee(str(model)))

    @property
    def _asked(self) -> bool:
        section = self._spec.retention
        return bool(section.choices or section.texts or section.samples or section.task) or (
            section.harness is not None
        )

    def _measured(self, trainee: "Trainee") -> Measured:
        spec = self._spec
        if not self._asked:
            return Measured(model=trainee.location, weights=trainee.weights, device="", dtype="")
        from pipeline.retention.measure import measure

        original = load_trainee(spec.teacher) if spec.teacher else self._trainee
        return measure(
            spec.retention,
            trainee,
            original,
            options=spec.storage_options,
            open_run=opener(spec.storage_options),
            watch=self._progress.measuring,
        )
