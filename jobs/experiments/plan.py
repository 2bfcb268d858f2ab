"""What each cell of an experiment is trained on, and whether arms can be compared by that."""

import glob
import hashlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from jobs.experiments.file import Experiment
from pipeline.experiment.budgets import CountedRows, budget_of, rows_per_step, steps_of, unequal
from pipeline.experiment.cells import Cell
from pipeline.experiment.overlay import merged, with_runs, with_seed
from pipeline.sft.rows.from_data import files_of
from schemas.errors import SpecError
from schemas.experiment_result import Budget
from schemas.fingerprint import canonical, digest
from schemas.sft_spec import SftSpec


class Planned(NamedTuple):
    """An arm, ready to be trained."""

    rows: CountedRows
    per_step: int
    batch_rows: int
    budget: Budget


def planned(
    experiment: Experiment, specs: Mapping[str, SftSpec], rows: Mapping[str, CountedRows]
) -> dict[str, Planned]:
    """By arm; refused where budgets differ by more than is fair."""
    spec = experiment.spec
    held = specs[spec.reference]
    steps = steps_of(len(rows[spec.reference]), _at_once(held) * held.training.batch_rows)
    found = {arm: _planned(experiment, specs[arm], rows[arm], steps) for arm in specs}
    budgets = {arm: plan.budget for arm, plan in found.items()}
    differences = list(unequal(budgets, spec.reference, spec.task))
    if differences and not spec.unequal:
        raise SpecError(
            f"budgets differ: {'; '.join(differences)}. Expected the same within 2% (mix.by: "
            "tokens and equal shares make them so, where each part has rows enough), or `unequal: "
            "true` in the spec."
        )
    return found


def _planned(experiment: Experiment, spec: SftSpec, rows: CountedRows, steps: int) -> Planned:
    at_once = _at_once(spec)
    batch_rows = spec.training.batch_rows
    if experiment.spec.match_steps:
        batch_rows = max(1, round(rows_per_step(len(rows), steps) / at_once))
    per_step = batch_rows * at_once
    budget = budget_of(rows, per_step, spec.training.max_steps)
    return Planned(rows, per_step, batch_rows, budget)


def _at_once(spec: SftSpec) -> int:
    """Rows a step for each row of a batch."""
    return spec.training.accumulate * spec.launch.processes


def asked_of(experiment: Experiment, cells: Iterable[Cell]) -> dict[str, str]:
    """By cell, the digest of what the experiment's file and its runs' ask of it.

    The reference arm is in all of them, since it decides how many steps there are.
    """
    arms, matched = experiment.arms, experiment.spec.match_steps
    held = arms[experiment.spec.reference].content if matched else None
    found = {}
    for cell in cells:
        arm = arms[cell.arm]
        runs = {name: experiment.runs[name].generation.model_dump(mode="json") for name in arm.runs}
        sft = arm.sft(cell.seed, "-").model_dump(mode="json")
        content = {"sft": sft, "runs": runs, "held": held, "matched": matched}
        found[cell.folder] = digest(canonical(content))
    return found


def cell_spec(
    experiment: Experiment,
    cell: Cell,
    locations: Mapping[str, str],
    output: str,
    batch_rows: int | None = None,
) -> SftSpec:
    """A cell's own spec, with its runs where they lie."""
    content = with_seed(with_runs(experiment.arms[cell.arm].content, locations), cell.seed)
    if batch_rows is not None:
        content = merged(content, {"training": {"batch_rows": batch_rows}})
    return SftSpec.model_validate(content | {"output": output})


def stamp(spec: SftSpec) -> str:
    """What tells that a spec's files on this machine are others than before."""
    hasher = hashlib.sha256()
    for place in sorted(_places(spec)):
        for file in _files(place):
            about = file.stat()
            hasher.update(f"{file} {about.st_size} {about.st_mtime_ns}\n".encode())
    return hasher.hexdigest()


def _places(spec: SftSpec) -> Iterator[str]:
    retention = spec.retention
    task = (gain.data for gain in retention.task.values())
    for source in (*(part.data for part in spec.parts.values()), *task):
        yield from () if source is None else files_of(source)
    yield from (choices.items for choices in retention.choices.values())
    yield from (texts.items for texts in retention.texts.values())
    yield from (samples.items for samples in retention.samples.values() if samples.items)


def _files(place: str) -> Iterator[Path]:
    for found in sorted(glob.glob(place.removeprefix("file://"), recursive=True)):
        path = Path(found)
        yield from sorted(f for f in path.rglob("*") if f.is_file()) if path.is_dir() else [path]
