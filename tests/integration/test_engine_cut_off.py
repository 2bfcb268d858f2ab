"""A command ends with its own exit code while an engine that was cut off computes on."""

import subprocess
import sys

import pytest

from tests.architecture.source import REPOSITORY

PROGRAM = """
import sys, threading
import torch
from jobs.cli import main
from pipeline.pool.engine_loop import EngineLoop
from schemas.records import EngineReport, EngineStats

square, begun = torch.randn(600, 600), threading.Event()

class Busy:
    def start(self): return None
    def stats(self): return EngineStats()
    def has_work(self): return True
    def close(self): pass
    def step(self):
        begun.set()
        while True:
            (square @ square).sum().item()

loop = EngineLoop(lambda incarnation: Busy(), 0)
begun.wait(60)
assert not loop.close(0.1)
sys.argv = ["arborist", *sys.argv[1:]]
sys.exit(main())
"""


@pytest.mark.parametrize(("spec", "code"), [("jobs/specs/demo.yaml", 0), ("missing.yaml", 2)])
def test_command_ends_with_its_code_while_an_engine_computes_on(spec: str, code: int):
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, "plan", spec],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == code, done.stderr
    assert ("4 assistant" in done.stdout) == (code == 0)
    assert ("missing.yaml" in done.stderr) == (code == 2)
