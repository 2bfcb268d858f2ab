"""Read an experiment's YAML file, and check every arm of it before anything is run."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from jobs.spec_file import load_spec, validated
from jobs.spec_yaml import read_mapping, read_text
from pipeline.experiment.overlay import arm_content, named_runs, refused, with_seed
from schemas.errors import SpecError
from schemas.execution_spec import RunSpec
from schemas.experiment_spec import ExperimentSpec
from schemas.sft_spec import SftSpec

Content = dict[str, Any]


class Arm(NamedTuple):
    """One arm, checked."""

    name: str
    content: Content
    """An SftSpec's, with its runs by name and without seeds and output."""
    runs: frozenset[str]
    """Names of runs that it needs."""

    def sft(self, seed: int, output: str) -> SftSpec:
        """Its spec at a seed."""
        return SftSpec.model_validate(with_seed(self.content, seed) | {"output": output})


class Experiment(NamedTuple):
    """A whole experiment, checked as far as it can be without models and data."""

    spec: ExperimentSpec
    text: str
    """Of its file."""
    arms: dict[str, Arm]
    runs: dict[str, RunSpec]

    def chosen(self, names: list[str] | None) -> list[str]:
        """Arms in the spec's order; all, if none are named."""
        if names is None:
            return list(self.arms)
        if unknown := [name for name in names if name not in self.arms]:
            raise SpecError(
                f"--arms: found {', '.join(unknown)}, expected some of: {', '.join(self.arms)}."
            )
        return [name for name in self.arms if name in names]


def load_experiment(location: str) -> Experiment:
    """The experiment in a file; `SpecError` names the arm and the key."""
    content = read_mapping(location, "the sections `output:`, `base:`, `arms:` and `seeds:`")
    spec = validated(ExperimentSpec, content, location)
    arms = {name: _arm(location, spec, name) for name in spec.arms}
    _check_measures(location, next(iter(arms.values())))
    used = {name for arm in arms.values() for name in arm.runs}
    runs = {name: _run(location, spec, name) for name in spec.runs if name in used}
    return Experiment(spec, read_text(location), arms, runs)


def _arm(location: str, spec: ExperimentSpec, name: str) -> Arm:
    overlay = spec.arms[name]
    where = f"{location}: arms.{name}"
    for key, why in refused(overlay):
        raise SpecError(f"{where}.{key}: found it in an arm, expected it in base only: {why}.")
    if "output" in spec.base:
        raise SpecError(f"{location}: base.output: expected none; each cell has its own folder.")
    content = arm_content(spec.base, overlay)
    whole = content | {"output": spec.output}
    validated(SftSpec, whole, f"{where} (base and overlay together)")
    if spec.task not in content["parts"]:
        raise SpecError(
            f"{where}.parts: found {', '.join(content['parts'])}, expected {spec.task} among "
            "them: every arm learns the task."
        )
    return Arm(name, content, _runs(where, spec.runs, content))


def _runs(where: str, known: Mapping[str, str], content: Content) -> frozenset[str]:
    used = named_runs(content)
    for name, place in used.items():
        if name not in known:
            names = ", ".join(f"runs.{n}" for n in known) or "a location; `runs` is empty"
            raise SpecError(f"{where}.{place}: found runs.{name}, expected one of: {names}.")
    return frozenset(used)


def _run(location: str, spec: ExperimentSpec, name: str) -> RunSpec:
    try:
        return load_spec(spec.runs[name])
    except SpecError as error:
        raise SpecError(
            f"{location}: runs.{name}: {error} (Paths are looked up from where the command is "
            "started.)"
        ) from error


def _check_measures(location: str, arm: Arm) -> None:
    retention = SftSpec.model_validate(arm.content | {"output": "-"}).retention
    if not (retention.choices or retention.texts or retention.samples or retention.harness):
        raise SpecError(
            f"{location}: base.retention: measures nothing that can be kept; expected some of: "
            "choices, texts, samples, harness."
        )
    if not retention.task:
        raise SpecError(
            f"{location}: base.retention.task: missing; expected held-out rows of the task, "
            "without which what an arm kept may be what it did not learn."
        )
