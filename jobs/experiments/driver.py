"""The driver of an experiment: runs are sealed, budgets compared, then cells done one by one."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from jobs.apart import Apart, Failed
from jobs.experiments.cell import count_rows, measure_original
from jobs.experiments.cells import Cells, Setting
from jobs.experiments.file import Experiment
from jobs.experiments.folder import ExperimentFolder, share_rows, write_spec, write_whole
from jobs.experiments.plan import Planned, cell_spec, planned, stamp
from jobs.experiments.progress import Show
from jobs.experiments.report import read_original
from jobs.experiments.runs import Runs
from jobs.experiments.stop import Stopping
from jobs.prepare_model import packaged_location
from jobs.training.output import ROWS, check_installed, stay_offline
from pipeline.engines.weights import weights_digest
from pipeline.experiment.budgets import CountedRows
from pipeline.experiment.cells import Cell, plan
from pipeline.experiment.grids import budget_grid
from pipeline.experiment.measures import asked_of
from schemas.errors import ArboristError
from schemas.fingerprint import canonical, digest
from schemas.retention import Measured
from schemas.sft_spec import SftSpec


class Chosen(NamedTuple):
    """What to do now."""

    arms: list[str]
    seeds: list[int] | None
    """None: all."""


class Driver:
    """One attempt at an experiment."""

    def __init__(self, experiment: Experiment, folder: ExperimentFolder, show: Show) -> None:
        self._experiment, self._folder, self._show = experiment, folder, show
        self._apart, self._stopping = Apart(), Stopping()
        self._runs = Runs(experiment, folder, show.say)

    def run(self, chosen: Chosen) -> list[str]:
        """Do what is not done; what failed, in words."""
        check_installed()
        stay_offline()
        with self._stopping.listening(self._apart.stop, self._runs.stop):
            try:
                return self._run(chosen)
            except ArboristError:
                # What was told to stop fails, and that is no news.
                self._stopping.heed()
                raise

    def _run(self, chosen: Chosen) -> list[str]:
        spec = self._experiment.spec
        arms = [arm for arm in self._experiment.arms if arm in {*chosen.arms, spec.reference}]
        locations = self._sealed(arms)
        arms_planned = self._planned(arms, locations)
        setting = Setting(
            self._experiment,
            locations,
            arms_planned,
            self._weights,
            asked_of(self._original(locations)),
        )
        cells = Cells(setting, self._folder, self._show, self._apart)
        return cells.run(plan(chosen.arms, spec.seeds, chosen.seeds), self._stopping.heed)

    def _sealed(self, arms: Iterable[str]) -> dict[str, str]:
        """The locations of the runs that arms need."""
        names = {name for arm in arms for name in self._experiment.arms[arm].runs}
        found = {}
        for name in self._experiment.runs:
            if name in names:
                found[name] = self._runs.sealed(name)
                self._stopping.heed()
        return found

    def _planned(self, arms: Sequence[str], locations: Mapping[str, str]) -> dict[str, Planned]:
        """What each arm is trained on, and that it is fair."""
        first = self._experiment.spec.seeds.judge[0]
        specs, rows = {}, {}
        for arm in arms:
            folder, cell = self._folder.root / arm, Cell(arm, first, judged=True)
            specs[arm] = cell_spec(self._experiment, cell, locations, str(folder))
            share_rows(folder, self._folder.root / ROWS)
            file = self._once(f"counting the rows of {arm}", count_rows, specs[arm], folder / "arm")
            rows[arm] = CountedRows.model_validate_json(file.read_bytes())
        found = planned(self._experiment, specs, rows)
        budgets = {arm: plan.budget for arm, plan in found.items()}
        self._show.grid(budget_grid(budgets, self._experiment.spec.task))
        return found

    def _original(self, locations: Mapping[str, str]) -> Measured:
        """The untouched model, measured."""
        from pipeline.sft.training.devices import num_gpus

        spec, folder = self._experiment.spec, self._folder.original
        cell = Cell(spec.reference, spec.seeds.judge[0], judged=True)
        asked = cell_spec(self._experiment, cell, locations, str(folder))
        device = "cuda" if num_gpus() else "cpu"
        self._once("measuring the original", measure_original, asked, folder / "measured", device)
        return read_original(self._folder)

    def _once(
        self, what: str, task: Callable[..., None], spec: SftSpec, name: Path, *more: str
    ) -> Path:
        """Do what leaves a JSON file, unless it was done for just this."""
        file, sft, key_file = (name.with_suffix(s) for s in (".json", ".yaml", ".key"))
        content = [spec.model_dump(mode="json"), self._weights, stamp(spec), *more]
        key = digest(canonical(content))
        if file.is_file() and key_file.is_file() and key_file.read_text("utf-8") == key:
            return file
        self._stopping.heed()
        self._show.say(what)
        write_spec(sft, spec)
        log = name.with_suffix(".log")
        try:
            self._apart.run(task, (str(sft), str(file)), log, self._show.heard)
        except Failed as error:
            raise Failed(f"{what}: {error}", error.exit_code) from error
        write_whole(key_file, key)
        return file

    @cached_property
    def _weights(self) -> str:
        return weights_digest(packaged_location(self._experiment.spec.base["model"]))
