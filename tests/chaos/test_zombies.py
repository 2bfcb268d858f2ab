"""Whatever ends a run, none of the processes that it started outlives it."""

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.builders import ODD, make_spec, write_spec
from tests.command import REPOSITORY, await_waves
from tests.processes import is_running, of_session, survivors, title

PATIENCE_S = 120.0

GONE_S = 30.0

HELPERS = {"ray::DashboardAgent", "ray::RuntimeEnvAgent"}
"""Of Ray's node. They hold no device, and spend a minute telling a head that is gone that their
node is gone; Ray has no setting for that."""


@pytest.fixture
def location(tmp_path: Path) -> Path:
    return tmp_path / "runs"


@pytest.fixture
def ray_folder() -> Iterator[str]:
    folder = tempfile.TemporaryDirectory(prefix="ray-", dir="/tmp", ignore_cleanup_errors=True)
    with folder:
        yield folder.name


def start(location: Path, environment: dict[str, str], **execution: Any) -> subprocess.Popen[str]:
    """A run in a session of its own, by which its processes are known whoever inherits them."""
    spec = make_spec(
        trees=2,
        scripted={**ODD, "step_s": 0.1},
        location=str(location),
        waves_in_flight=2,
        workers=2,
        **execution,
    )
    file = write_spec(spec, location.parent / "spec.yaml")
    return subprocess.Popen(
        [sys.executable, "-m", "jobs.cli", "generate", str(file)],
        cwd=REPOSITORY,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def end(process: "subprocess.Popen[str]", number: signal.Signals | None) -> tuple[int, set[int]]:
    """Send it a signal, if any, and await its end; also, what ran beside it shortly before."""
    beside = of_session(process.pid) - {process.pid}
    if number is not None:
        process.send_signal(number)
    process.communicate(timeout=PATIENCE_S)
    return process.returncode, beside


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, None])
def test_local_run_ends_no_measuring_process_is_left(number: signal.Signals | None, location: Path):
    process = start(location, dict(os.environ), pool="local")
    await_waves(process, location, 1, PATIENCE_S)
    code, beside = end(process, number)
    assert len(beside) == 2
    assert survivors(of_session(process.pid) | beside, GONE_S) == []
    assert (code == 0) == (number is None)


@pytest.mark.ray
@pytest.mark.slow
@pytest.mark.timeout(250)
def test_own_ray_ends_with_its_driver_killed(location: Path, ray_folder: str):
    keep = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    environment = keep | {"RAY_TMPDIR": ray_folder}
    process = start(location, environment, pool="ray")
    await_waves(process, location, 1, PATIENCE_S)
    titles = {title(pid).split(".")[0] for pid in of_session(process.pid)}
    assert {"ray::EngineActor", "ray::_Actor"} <= titles
    code, beside = end(process, signal.SIGKILL)
    left = of_session(process.pid) | beside
    helpers = {pid for pid in left if title(pid) in HELPERS}
    assert survivors(left - helpers, GONE_S) == []
    for pid in filter(is_running, helpers):
        os.kill(pid, signal.SIGKILL)
    assert code == -signal.SIGKILL
