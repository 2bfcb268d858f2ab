"""Which settings of an engine are tried, and what becomes of a trial that goes wrong."""

import os
import sys
import time

import pytest

from jobs.engine_trials import Outcome, best_of, run_apart, try_settings, variants
from pipeline.engines.machine import Machine

BASE = {"config": {"model": "/m", "cpus": 6, "dtype": "auto", "args": {"seed": 1}}, "sequences": 8}


def machine(cores: int) -> Machine:
    return Machine("Fast One", frozenset(), cores, cores, (cores,), None, 1 << 36, 1 << 36)


def test_variants_change_one_setting_each_and_begin_with_none():
    first, *others = variants(BASE, machine(6))
    assert first.trial == BASE
    for variant in others:
        config = {**variant.trial["config"]}
        changed = [name for name, value in config.items() if value != BASE["config"][name]]
        assert len(changed) == 1
        assert {**variant.trial, "config": BASE["config"]} == BASE


@pytest.mark.parametrize(
    ("cores", "expected"), [(1, [1]), (2, [1, 2]), (6, [1, 2, 4]), (16, [1, 2, 4, 8, 16])]
)
def test_variants_of_threads_go_up_to_all_cores(cores, expected):
    tried = [v.value for v in variants(BASE, machine(cores)) if v.setting == "threads"]
    assert tried == expected


def test_best_is_the_base_where_nothing_is_faster_and_failures_do_not_count():
    base = Outcome("as it is", "", [100.0], 100.0)
    tried = [
        Outcome("threads", 1, [60.0], 60.0),
        Outcome("dtype", "bfloat16", [130.0], 130.0),
        Outcome("dtype", "float32", [120.0], 120.0),
        Outcome("block_size", 16, [], 0.0, "not supported"),
    ]
    best = best_of([base, *tried])
    assert best["threads"] == base
    assert best["dtype"].value == "bfloat16"
    assert "block_size" not in best


def test_a_trial_that_cannot_be_tells_why():
    found = try_settings({"no_such_setting": 1}, timeout_s=60)
    assert "no_such_setting" in found["error"]


def test_what_is_not_done_in_time_ends_with_all_that_it_started(tmp_path):
    born = tmp_path / "pid"
    script = (
        "import pathlib, subprocess, sys; "
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)']); "
        f"pathlib.Path({str(born)!r}).write_text(str(child.pid)); child.wait()"
    )
    assert run_apart([sys.executable, "-c", script], 3.0) is None
    pid, deadline = int(born.read_text()), time.monotonic() + 30
    while _lives(pid):
        assert time.monotonic() < deadline


def _lives(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_what_is_done_in_time_gives_back_what_it_said():
    script = "import os, sys; print(sys.stdin.read() + os.environ['WORD'])"
    done = run_apart([sys.executable, "-c", script], 60, told="a", environment={"WORD": "b"})
    assert done is not None
    assert (done.returncode, done.stdout, "WORD" in os.environ) == (0, "ab\n", False)
