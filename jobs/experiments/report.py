"""Results, tables and the page of an experiment, from the cells that are done."""

import json
from pathlib import Path
from typing import Any

from jobs.experiments.file import Experiment
from jobs.experiments.folder import ExperimentFolder, write_whole
from jobs.experiments.plan import asked_of
from pipeline.experiment.cells import plan
from pipeline.experiment.grids import grids, markdown
from pipeline.experiment.measures import asked_of as items_of
from pipeline.experiment.page import page
from pipeline.experiment.result import Asked, result_of
from schemas.errors import LocationError
from schemas.experiment_result import ExperimentResult
from schemas.fingerprint import canonical, digest
from schemas.retention import Measured

FILES = ("results.json", "table.md", "report.html")


def read_original(folder: ExperimentFolder) -> Measured:
    """The untouched model as it was measured."""
    file = folder.original / "measured.json"
    if not file.is_file():
        raise LocationError(
            f"{folder.root}: holds nothing to report on yet; run the experiment without "
            "--only-report first."
        )
    return Measured.model_validate_json(file.read_bytes())


def _comparable(one: Measured, other: Measured) -> bool:
    """Whether two models were asked the same, on the same kind of device."""
    return items_of(one) == items_of(other)


def _told(experiment: Experiment) -> dict[str, Any]:
    """The settings that results are of, wherever they lay on this machine."""
    spec = experiment.spec.model_dump(mode="json", exclude={"output"})
    runs = {n: run.generation.model_dump(mode="json") for n, run in experiment.runs.items()}
    return {"spec": spec, "digest": digest(canonical({"spec": spec, "runs": runs}))}


def write_report(experiment: Experiment, folder: ExperimentFolder, file: str) -> ExperimentResult:
    """All three files, of the cells of this very spec."""
    spec = experiment.spec
    cells = plan(list(experiment.arms), spec.seeds)
    asked, original = asked_of(experiment, cells), read_original(folder)
    # What was asked other items, or on another kind of device, is not done yet.
    there = [cell for cell in folder.results(cells, asked) if _comparable(cell.measured, original)]
    found = result_of(
        Asked(spec.reference, spec.task, tuple(experiment.arms), spec.seeds.judge), original, there
    ).model_copy(update=_told(experiment))
    command = f"arborist experiment {file}"
    tables = "\n".join(markdown(grid) for grid in grids(found))
    write_whole(folder.root / FILES[0], json.dumps(found.model_dump(mode="json"), indent=1))
    write_whole(folder.root / FILES[1], f"# {Path(file).stem}\n\n    {command}\n\n{tables}")
    write_whole(folder.root / FILES[2], page(found, experiment.text, command))
    write_whole(folder.root / "experiment.yaml", experiment.text)
    return found
