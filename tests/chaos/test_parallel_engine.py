"""An engine of several processes: whatever ends it, none of them outlives it."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.processes import descendants, is_running, survivors, title, until
from tests.ray_cluster import REPOSITORY
from tests.tiny_llama import tiny_llama

PATIENCE_S = 300.0
"""For a start of vLLM on a machine that is busy."""

GONE_S = 60.0

ENGINE = """
import sys, threading
import numpy as np
from pipeline.engines.vllm import VllmConfig, VllmEngine
from pipeline.pool.engine_loop import EngineLoop
from schemas.records import Request, Sampling

def make(incarnation):
    return VllmEngine(VllmConfig(
        model=sys.argv[1], context=128, dtype="float32", max_num_seqs=4,
        max_num_batched_tokens=128, kv_cache_gib=0.05, cpus=2, tensor_parallel=2,
    ))

if __name__ == "__main__":
    loop = EngineLoop(make, 0)
    while (report := loop.start_report(60)) is None:
        pass
    prompt = np.array([5, 6, 7], dtype=np.int32)
    request = Request("w", "p", 0, 2, prompt, Sampling(max_tokens=8), seed=7)
    outcomes = loop.exchange([request], 120, linger_s=60).outcomes
    print(sorted(outcome.key.child_index for outcome in outcomes), report.device, flush=True)
    if sys.argv[2] == "close":
        loop.close(60)
        print("closed", flush=True)
    threading.Event().wait()
"""


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_llama(tmp_path_factory.mktemp("tiny"), hidden=128)


def start(model: Path, folder: Path, then: str) -> "subprocess.Popen[str]":
    """An engine of two processes, in one that is not the test's."""
    script = folder / "engine.py"
    script.write_text(ENGINE)
    return subprocess.Popen(
        [sys.executable, str(script), str(model), then],
        cwd=REPOSITORY,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def workers(process: "subprocess.Popen[str]") -> set[int]:
    """Those that compute, once they call themselves so."""
    return {pid for pid in descendants(process.pid) if title(pid).startswith("VLLM::Worker")}


def answer(process: "subprocess.Popen[str]") -> str:
    assert process.stdout
    line = process.stdout.readline()
    if not line:
        raise AssertionError(process.communicate()[1][-2000:])
    return line


@pytest.mark.vllm
@pytest.mark.long
@pytest.mark.timeout(900)
def test_killed_engine_of_two_processes_leaves_none_behind(model: Path, tmp_path: Path):
    process = start(model, tmp_path, "wait")
    try:
        assert answer(process).startswith("[0, 1] ")
        assert len(workers(process)) == 2
        below = descendants(process.pid)
        for pid in workers(process):
            # As one that is held up by its device, and notices nothing.
            os.kill(pid, signal.SIGSTOP)
    finally:
        process.send_signal(signal.SIGKILL)
        process.communicate()
    left = survivors(below, GONE_S)
    for pid in filter(is_running, below):
        os.kill(pid, signal.SIGKILL)
    assert left == []


@pytest.mark.long
@pytest.mark.vllm
@pytest.mark.timeout(900)
def test_engine_of_two_processes_killed_while_it_loads_leaves_none_behind(
    model: Path, tmp_path: Path
):
    process = start(model, tmp_path, "wait")
    try:
        until(lambda: len(descendants(process.pid)) >= 2 or process.poll(), PATIENCE_S)
        below = descendants(process.pid)
        assert len(below) >= 2
    finally:
        process.send_signal(signal.SIGKILL)
        process.communicate()
    assert survivors(below, GONE_S) == []


@pytest.mark.long
@pytest.mark.vllm
@pytest.mark.timeout(900)
def test_closed_engine_of_two_processes_leaves_none_behind(model: Path, tmp_path: Path):
    process = start(model, tmp_path, "close")
    try:
        assert answer(process).startswith("[0, 1] ")
        below = workers(process)
        assert answer(process) == "closed\n"
        assert survivors(below, GONE_S) == []
    finally:
        process.send_signal(signal.SIGKILL)
        process.communicate()
