"""The folder of an experiment: what lies where, written whole or not at all.

results.json table.md report.html     what came out, as far as it is done
experiment.yaml                       the spec it is of
runs.json                             the sealed runs by name
original/measured.json                the untouched model
ARM/arm.json                          the rows that an arm is trained on, counted
ARM/SEED/                             a cell: sft.yaml, cell.json, result.json, log.txt
"""

import json
import os
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

import yaml
from pydantic import ValidationError

from jobs.training.file import load_sft
from jobs.training.output import ROWS
from pipeline.experiment.cells import Cell
from pipeline.sft.training.places import local
from schemas.curation_spec import Strict
from schemas.experiment_result import CellResult
from schemas.sft_spec import SftSpec

WEIGHTS = ("model", "checkpoints", "launch", ".model.partial")
"""What is left out once a cell is done."""


class CellAsked(Strict):
    """What makes a cell this one, beside its spec."""

    arm: str
    seed: int
    judged: bool
    asked: str
    digest: str
    weights: str
    """Of the model that all cells start from."""
    items: str
    """Digest of what the original was asked, and on which kind of device."""
    per_step: int


class CellFolder:
    """One cell's."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.result_file, self.log = root / "result.json", root / "log.txt"
        self._sft, self._cell = root / "sft.yaml", root / "cell.json"

    def begin(self, spec: SftSpec, asked: CellAsked) -> None:
        """Ready for its process; what an earlier spec left there is gone."""
        if self.asked_before() != asked:
            shutil.rmtree(self.root, ignore_errors=True)
        self.root.mkdir(parents=True, exist_ok=True)
        share_rows(self.root, self.root.parents[1] / ROWS)
        write_spec(self._sft, spec)
        write_whole(self._cell, asked.model_dump_json(indent=1))

    def spec(self) -> SftSpec:
        """What it is trained by."""
        return load_sft(str(self._sft))

    def asked(self) -> CellAsked:
        """What it is known by."""
        return CellAsked.model_validate_json(self._cell.read_bytes())

    def asked_before(self) -> CellAsked | None:
        """The same, if there is such a folder."""
        try:
            return self.asked()
        except (OSError, ValidationError):
            return None

    def result(self) -> CellResult | None:
        """What came out, if it is done."""
        try:
            return CellResult.model_validate_json(self.result_file.read_bytes())
        except (OSError, ValidationError):
            return None

    def clear(self, *, weights: bool) -> None:
        """Remove what nobody needs once there is a result."""
        for name in WEIGHTS if weights else WEIGHTS[1:]:
            shutil.rmtree(self.root / name, ignore_errors=True)


class ExperimentFolder:
    """The whole one."""

    def __init__(self, location: str) -> None:
        self.root = local(location)
        self.original = self.root / "original"
        self.runs_file = self.root / "runs.json"

    def cell(self, cell: Cell) -> CellFolder:
        """One cell's folder."""
        return CellFolder(self.root / cell.folder)

    def results(self, cells: Iterable[Cell], asked: dict[str, str]) -> Iterator[CellResult]:
        """Those that are there and were asked for just so."""
        for cell in cells:
            found = self.cell(cell).result()
            if found is not None and found.asked == asked[cell.folder]:
                yield found.model_copy(update={"judged": cell.judged})


def share_rows(output: Path, rows: Path) -> None:
    """Where a training looks for prepared rows, it finds those of the whole experiment."""
    rows.mkdir(parents=True, exist_ok=True)
    output.mkdir(parents=True, exist_ok=True)
    link = output / ROWS
    if not link.is_symlink():
        link.symlink_to(os.path.relpath(rows, output), target_is_directory=True)


def write_spec(file: Path, spec: SftSpec) -> None:
    """As a person would read it, and `arborist sft` too."""
    content = spec.model_dump(mode="json", exclude_defaults=True)
    write_whole(file, yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=100))


def write_whole(file: Path, text: str) -> None:
    """All of it appears at once."""
    file.parent.mkdir(parents=True, exist_ok=True)
    half = file.with_name(f".{file.name}.{os.getpid()}")
    half.write_text(text, "utf-8")
    half.replace(file)


def read_json(file: Path) -> dict[str, object]:
    """A mapping, empty where there is none."""
    try:
        found = json.loads(file.read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
