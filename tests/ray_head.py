"""A Ray that stands already, as a cluster does: `ray start --head`, in processes of its own."""

import os
import signal
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import NamedTuple

from tests.ports import free_ports
from tests.processes import descendants, is_running, survivors, until

BIN = Path(sys.executable).parent
_STANDS = "block forever"
"""What it prints when all is there."""
_TRIES = 3
_START_S = 150
_END_S = 60


class RayHead(NamedTuple):
    """How it is reached."""

    dashboard: str
    environment: dict[str, str]
    """Of whoever is on the cluster."""
    pid: int


@contextmanager
def ray_head(cpus: int = 2, *options: str) -> Iterator[RayHead]:
    """One that is started, and ended with all that it started."""
    with tempfile.TemporaryDirectory(prefix="ray-", dir="/tmp", ignore_cleanup_errors=True) as tmp:
        environment = {
            **os.environ,
            "PATH": f"{BIN}:{os.environ['PATH']}",
            "RAY_AUTH_MODE": "disabled",
            "RAY_TMPDIR": tmp,
            "RAY_process_group_cleanup_enabled": "1",
            "OMP_NUM_THREADS": "1",
        }
        process, address = _started(
            Path(tmp, "head.log"), environment, f"--num-cpus={cpus}", *options
        )
        try:
            until(lambda: _answers(address), _START_S)
            yield RayHead(address, environment, process.pid)
        finally:
            left = _ended(process)
        assert not left, left


def _started(
    log: Path, environment: dict[str, str], *options: str
) -> "tuple[subprocess.Popen[bytes], str]":
    """Its process and its dashboard. Ray gives a node 30 s to start, which a busy machine may not
    have, so that it is tried again."""
    for _ in range(_TRIES):
        port, dashboard, client, agent = free_ports(4)
        command = [
            *(BIN / "ray", "start", "--head", "--block", "--disable-usage-stats"),
            *(f"--port={port}", f"--dashboard-port={dashboard}", "--dashboard-host=127.0.0.1"),
            *(f"--ray-client-server-port={client}", f"--dashboard-agent-listen-port={agent}"),
            *("--node-ip-address=127.0.0.1", *options),
        ]
        with log.open("w") as file:
            process = subprocess.Popen(command, env=environment, stdout=file, stderr=file)
        try:
            until(partial(_is_decided, process, log), _START_S)
        except TimeoutError:
            _ended(process)
        if process.poll() is None:
            return process, f"http://127.0.0.1:{dashboard}"
    raise AssertionError(log.read_text())


def _is_decided(process: "subprocess.Popen[bytes]", log: Path) -> bool:
    return process.poll() is not None or _STANDS in log.read_text()


def _ended(process: "subprocess.Popen[bytes]") -> list[str]:
    """Who of those that it started outlived it; they are killed, too."""
    below = descendants(process.pid)
    process.send_signal(signal.SIGTERM)
    with suppress(subprocess.TimeoutExpired):
        process.wait(_END_S)
    left = survivors(below, _END_S)
    for pid in (*filter(is_running, below), process.pid):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    process.wait()
    return left


def _answers(address: str) -> bool:
    with suppress(OSError):
        return bool(urllib.request.urlopen(f"{address}/api/version", timeout=5).status == 200)
    return False
