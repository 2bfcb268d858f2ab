"""A run as jobs of Ray's Jobs API, one for each driver."""

import shutil
from pathlib import Path
from typing import Any, NamedTuple

from jobs.launch.parcel import Parcel
from schemas.errors import SpecError

SPEC_NAME = "arborist-submitted.yaml"
"""Of the spec's file, where the job starts."""
_IGNORE_FILES = (".gitignore", ".rayignore")

RUN, DRIVER, ATTEMPT = "arborist_run", "arborist_driver", "arborist_attempt"
"""Among a job's metadata: whose it is."""


class RayJob(NamedTuple):
    """What is asked of the Jobs API."""

    submission_id: str
    entrypoint: str
    runtime_env: dict[str, Any]
    metadata: dict[str, str]
    entrypoint_resources: dict[str, float]
    entrypoint_label_selector: dict[str, str]


def ray_job(parcel: Parcel, driver: int, attempt: int) -> RayJob:
    """The job of one driver; `attempt` counts the jobs that there were for it."""
    launch = parcel.spec.execution.launch
    return RayJob(
        submission_id=f"arborist-{parcel.name}-{parcel.key}-{driver}-{attempt}",
        entrypoint=f"exec {_command(working_dir_of(parcel))} generate {SPEC_NAME}",
        runtime_env=_runtime_env(parcel),
        metadata={
            "job_name": parcel.name,
            RUN: parcel.key,
            DRIVER: str(driver),
            ATTEMPT: str(attempt),
        },
        entrypoint_resources=launch.ray.driver_resources,
        entrypoint_label_selector=launch.ray.driver_labels,
    )


def working_dir_of(parcel: Parcel) -> Path | None:
    """The folder that is sent along."""
    given = parcel.spec.execution.launch.ray.working_dir
    if given is None:
        return None
    folder = Path(given).expanduser()
    if not folder.is_dir():
        raise SpecError(f"launch.ray.working_dir: {given}: expected a folder on this machine.")
    return folder.resolve()


def stage(parcel: Parcel, folder: Path) -> None:
    """Make an empty folder what the job starts in: links to what is sent along, and the spec.

    Ray packs what links point to, so nothing is copied, and nothing is written to a folder of one's
    own; what that ignores is ignored still, the spec excepted.
    """
    source = working_dir_of(parcel)
    for entry in source.iterdir() if source else ():
        if entry.name in _IGNORE_FILES:
            shutil.copy(entry, folder / entry.name)
            with (folder / entry.name).open("a") as file:
                file.write(f"\n!/{SPEC_NAME}\n")
        elif entry.name != SPEC_NAME:
            (folder / entry.name).symlink_to(entry)
    (folder / SPEC_NAME).write_text(parcel.text, "utf-8")


def _command(working_dir: Path | None) -> str:
    """A checkout that is sent along is what runs; else what is installed there."""
    sent = working_dir is not None and (working_dir / "jobs" / "cli.py").is_file()
    return "python -m jobs.cli" if sent else "arborist"


def _runtime_env(parcel: Parcel) -> dict[str, Any]:
    execution = parcel.spec.execution
    given = dict(execution.launch.ray.runtime_env)
    if "working_dir" in given:
        raise SpecError(
            "launch.ray.runtime_env.working_dir: expected as launch.ray.working_dir, so that the "
            "spec is sent with it."
        )
    variables = {
        "RAY_JOB_STOP_WAIT_TIME_S": str(parcel.leave_s),
        **execution.launch.environment,
        **given.pop("env_vars", {}),
    }
    return {**given, "env_vars": variables}
