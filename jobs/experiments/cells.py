"""The cells of an experiment, done one after another, those that are done left as they are."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from jobs.apart import Apart, Failed
from jobs.experiments.cell import run_cell
from jobs.experiments.file import Experiment
from jobs.experiments.folder import CellAsked, ExperimentFolder
from jobs.experiments.plan import Planned, asked_of, cell_spec
from jobs.experiments.progress import Show
from pipeline.experiment.cells import Cell, left_s
from schemas.experiment_result import CellResult
from schemas.fingerprint import canonical, digest

GOES_ON_AFTER = {"Diverged"}
"""Errors that are an arm's own; with any other the next cell would fail likewise."""


class Setting(NamedTuple):
    """What all cells have in common."""

    experiment: Experiment
    locations: Mapping[str, str]
    """Of runs."""
    planned: Mapping[str, Planned]
    weights: str
    """Of the model that all start from."""
    items: str
    """Digest of all that is asked of models, and of the kind of device that it is asked on."""


class Cells:
    """Does what is left of them."""

    def __init__(
        self, setting: Setting, folder: ExperimentFolder, show: Show, apart: Apart
    ) -> None:
        self._setting, self._folder, self._show, self._apart = setting, folder, show, apart
        self._seconds: dict[Cell, float] = {}
        self._done = 0

    def run(self, cells: Sequence[Cell], heed: Callable[[], None]) -> list[str]:
        """Until all are done; those that failed for reasons of their own, in words."""
        asked = {cell: self._asked(cell) for cell in cells}
        left = [cell for cell in cells if not self._is_done(cell, asked[cell])]
        self._done = len(cells) - len(left)
        if self._done:
            self._show.say(f"{self._done} of {len(cells)} cells are done already")
        failed: list[str] = []
        with self._show.cells(self._done, len(cells)):
            for cell in left:
                heed()
                failed += self._cell(cell, asked[cell], cells)
        return failed

    def _asked(self, cell: Cell) -> CellAsked:
        plan = self._setting.planned[cell.arm]
        asked = asked_of(self._setting.experiment, [cell])[cell.folder]
        weights, items = self._setting.weights, self._setting.items
        content = [asked, weights, items, plan.rows.digest, plan.per_step]
        return CellAsked(
            arm=cell.arm,
            seed=cell.seed,
            judged=cell.judged,
            asked=asked,
            digest=digest(canonical(content)),
            weights=weights,
            items=items,
            per_step=plan.per_step,
        )

    def _is_done(self, cell: Cell, asked: CellAsked) -> bool:
        result = self._folder.cell(cell).result()
        if result is None or result.digest != asked.digest:
            return False
        self._seconds[cell] = sum(result.seconds.values())
        return True

    def _cell(self, cell: Cell, asked: CellAsked, cells: Sequence[Cell]) -> list[str]:
        """Train and measure one; what went wrong, if that does not concern the others."""
        folder, experiment = self._folder.cell(cell), self._setting.experiment
        batch_rows = self._setting.planned[cell.arm].batch_rows
        spec = cell_spec(experiment, cell, self._setting.locations, str(folder.root), batch_rows)
        folder.begin(spec, asked)
        self._show.began(cell.folder)
        keep = "keep" if experiment.spec.keep_models else "remove"
        began = time.monotonic()
        try:
            self._apart.run(run_cell, (str(folder.root), keep), folder.log, self._show.heard)
        except Failed as error:
            words = f"cell {cell.folder}: {error}"
            if error.kind not in GOES_ON_AFTER:
                raise Failed(words, error.exit_code) from error
            self._show.say(words)
            return [words]
        self._seconds[cell] = time.monotonic() - began
        self._tell(folder.result(), cells)
        return []

    def _tell(self, result: CellResult | None, cells: Sequence[Cell]) -> None:
        assert result is not None
        self._done += 1
        self._show.done(result, self._done, len(cells), left_s(cells, self._seconds))
