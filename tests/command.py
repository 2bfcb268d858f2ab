"""The real command as a process of its own, to be watched from outside and killed."""

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]


@contextmanager
def started(*arguments: str, cwd: Path = REPOSITORY) -> Iterator["subprocess.Popen[str]"]:
    """The command, running; killed at the end if it still runs."""
    process = subprocess.Popen(
        [sys.executable, "-m", "jobs.cli", *arguments],
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def run_command(
    *arguments: str, patience_s: float = 60, cwd: Path = REPOSITORY
) -> tuple[int, str, str]:
    """Exit code and both outputs of the command, run to its end."""
    with started(*arguments, cwd=cwd) as process:
        out, err = process.communicate(timeout=patience_s)
        return process.returncode, out, err


def stop_when_committed(
    location: Path, waves: int, number: signal.Signals, *arguments: str, patience_s: float = 60
) -> tuple[int, str, str]:
    """Start the command, send it a signal once so many waves are committed, await its end."""
    with started(*arguments) as process:
        await_waves(process, location, waves, patience_s)
        process.send_signal(number)
        out, err = process.communicate(timeout=patience_s)
        return process.returncode, out, err


def await_waves(
    process: "subprocess.Popen[str]", location: Path, waves: int, patience_s: float
) -> None:
    """Poll until the run below a location has begun and so many manifests are there."""
    deadline = time.monotonic() + patience_s
    while not list(location.glob("*/run.json")) or len(manifests_in(location)) < waves:
        assert process.poll() is None, f"ended early: {process.communicate()}"
        assert time.monotonic() < deadline, f"{waves} waves were not committed in {patience_s} s"
        threading.Event().wait(0.005)


def manifests_in(location: Path) -> list[Path]:
    """The manifests of the one run below a location."""
    return sorted(location.glob("*/ledger/*.json"))
