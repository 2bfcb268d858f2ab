"""The runs that an experiment names: grown and sealed, each by a process of its own."""

import json
import subprocess
import sys
from collections.abc import Callable
from typing import Any

from jobs.apart import Failed
from jobs.experiments.file import Experiment
from jobs.experiments.folder import ExperimentFolder, read_json, write_whole
from pipeline.storage.open import open_store
from pipeline.storage.snapshots import latest
from schemas.errors import StoreError
from schemas.fingerprint import canonical, digest

Say = Callable[[str], None]


class Runs:
    """Sealed runs by name, those found sealed before remembered."""

    def __init__(self, experiment: Experiment, folder: ExperimentFolder, say: Say) -> None:
        self._experiment, self._folder, self._say = experiment, folder, say
        self._process: subprocess.Popen[str] | None = None

    def stop(self, at_once: bool) -> None:
        """Tell the run that is growing to come to an end."""
        if self._process is not None:
            self._process.kill() if at_once else self._process.terminate()

    def asked(self, name: str) -> str:
        """Digest of what a run's spec asks for."""
        return digest(canonical(self._experiment.runs[name].generation.model_dump(mode="json")))

    def sealed(self, name: str) -> str:
        """The location of a run, which ends in its run id; grown first if it is not sealed."""
        known = read_json(self._folder.runs_file)
        entry = known.get(name)
        if isinstance(entry, dict) and self._is_whole(name, entry):
            return str(entry["location"])
        figures = self._grow(name)
        if not figures["complete"]:
            self._say(f"note: run {name} is sealed in part only, because a budget ended it")
        known[name] = {"asked": self.asked(name)} | {
            key: figures[key] for key in ("location", "run_id", "snapshot", "complete")
        }
        write_whole(self._folder.runs_file, json.dumps(known, indent=1))
        return str(figures["location"])

    def _is_whole(self, name: str, entry: dict[str, Any]) -> bool:
        """Whether what was found sealed is still what is asked for, and still there."""
        if entry.get("asked") != self.asked(name):
            return False
        options = self._experiment.runs[name].execution.storage_options
        try:
            snapshot = latest(open_store(str(entry["location"]), options))
        except StoreError:
            return False
        return snapshot is not None and snapshot.complete

    def _grow(self, name: str) -> dict[str, Any]:
        file = self._experiment.spec.runs[name]
        self._say(f"run {name}: arborist generate {file}")
        command = [sys.executable, "-m", "jobs.cli", "generate", file, "--json"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as self._process:
            out, _ = self._process.communicate()
            code = self._process.returncode
        self._process = None
        if code:
            raise Failed(
                f"runs.{name}: `arborist generate {file}` ended with {code}; what it said stands "
                "above. The same command goes on from there.",
                code,
            )
        figures = json.loads(out)
        assert isinstance(figures, dict)
        return figures
