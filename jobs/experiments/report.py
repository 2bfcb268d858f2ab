"""Results, tables and the page of an experiment, from the cells that are done."""

import json
from pathlib import Path

from jobs.experiments.file import Experiment
from jobs.experiments.folder import ExperimentFolder, write_whole
from jobs.experiments.plan import asked_of
from pipeline.experiment.cells import plan
from pipeline.experiment.grids import grids, markdown
from pipeline.experiment.page import page
from pipeline.experiment.result import Asked, result_of
from schemas.errors import LocationError
from schemas.experiment_result import ExperimentResult
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


def write_report(experiment: Experiment, folder: ExperimentFolder, file: str) -> ExperimentResult:
    """All three files, of the cells of this very spec."""
    spec = experiment.spec
    cells = plan(list(experiment.arms), spec.seeds)
    found = result_of(
        Asked(spec.reference, spec.task, tuple(experiment.arms), spec.seeds.judge),
        read_original(folder),
        list(folder.results(cells, asked_of(experiment, cells))),
    )
    command = f"arborist experiment {file}"
    tables = "\n".join(markdown(grid) for grid in grids(found))
    write_whole(folder.root / FILES[0], json.dumps(found.model_dump(mode="json"), indent=1))
    write_whole(folder.root / FILES[1], f"# {Path(file).stem}\n\n    {command}\n\n{tables}")
    write_whole(folder.root / FILES[2], page(found, experiment.text, command))
    write_whole(folder.root / "experiment.yaml", experiment.text)
    return found
