"""Looking at help, and planning, load no engine, no cluster and no model library."""

import subprocess
import sys

import pytest

from tests.architecture.source import REPOSITORY, modules

HEAVY = ("ray", "vllm", "torch", "transformers", "datasets", "trl", "matplotlib")
PURE = ("schemas", "pipeline.tree", "pipeline.recipes", "pipeline.plan", "pipeline.curate")
PURE_MODULES = [m.name for m in modules() if m.name.startswith(PURE)]

IMPORT_ALL = "import importlib\nfor name in {names!r}: importlib.import_module(name)"
RUN = """
from jobs.cli import main
try:
    code = main({argv!r})
except SystemExit as end:
    code = end.code
assert code == 0, code
"""
REPORT = "\nimport sys\nprint('loaded:', *sorted(set({heavy!r}) & set(sys.modules)))"


def heavy_after(code: str) -> list[str]:
    """The heavy libraries that a fresh interpreter has loaded after some code."""
    result = subprocess.run(
        [sys.executable, "-c", code + REPORT.format(heavy=HEAVY)],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout.splitlines()[-1].removeprefix("loaded:").split()


def test_pure_rooms_load_nothing_heavy():
    assert len(PURE_MODULES) > 20
    assert heavy_after(IMPORT_ALL.format(names=PURE_MODULES)) == []


@pytest.mark.parametrize(
    "argv",
    [
        ["--help"],
        ["generate", "--help"],
        ["status", "--help"],
        ["sft", "--help"],
        ["experiment", "--help"],
        ["plan", "jobs/specs/balance.yaml", "--json"],
        ["submit", "jobs/specs/demo.yaml", "--to", "slurm", "--dry-run"],
    ],
    ids=" ".join,
)
def test_command_without_engines_loads_nothing_heavy(argv):
    assert heavy_after(RUN.format(argv=argv)) == []
