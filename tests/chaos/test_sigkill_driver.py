"""The real command is killed or asked to stop midway, and started again."""

import os
import re
import signal
import subprocess
import threading
import time
from pathlib import Path

import pytest

from pipeline.storage.ledger import Ledger
from pipeline.storage.open import find_run
from pipeline.storage.snapshots import latest
from schemas.errors import RETRY
from tests.builders import (
    ODD,
    assert_whole,
    committed_bytes,
    make_spec,
    memory_store,
    rows_of,
    run_scripted,
    write_spec,
)
from tests.command import (
    await_waves,
    manifests_in,
    run_command,
    started,
    stop_when_committed,
)

PATIENCE_S = 60
SLOW = {**ODD, "step_s": 0.05}
SPEC = make_spec(scripted=SLOW, trees=5, waves_in_flight=2)


@pytest.fixture(scope="module")
def expected() -> list[dict]:
    """The rows of the run that is never stopped."""
    store = memory_store()
    run_scripted(store, make_spec(trees=5))
    return rows_of(store)


@pytest.fixture
def location(tmp_path: Path) -> Path:
    return tmp_path / "runs"


@pytest.fixture
def command(tmp_path: Path, location: Path) -> list[str]:
    file = write_spec(SPEC, tmp_path / "spec.yaml")
    return ["generate", str(file), "--engine", "scripted", "--location", str(location)]


def waves_told(out: str) -> int:
    """How many waves the log says were committed: one a line, or several together."""
    several = re.findall(r"^(\d+) waves committed", out, re.MULTILINE)
    return sum(map(int, several)) + len(re.findall(r"^wave \S+ committed", out, re.MULTILINE))


@pytest.mark.parametrize("waves", [0, 1, 4, 7])
def test_generate_sigkilled_and_started_again_has_all_rows(
    waves: int, command: list[str], location: Path, expected: list[dict]
):
    code, _, _ = stop_when_committed(location, waves, signal.SIGKILL, *command)
    assert code == -signal.SIGKILL
    store = find_run(str(location))
    assert latest(store) is None
    before = committed_bytes(store)
    done = len(manifests_in(location))
    code, out, err = run_command(*command)
    assert code == 0, err
    assert (f"continuing after {done} waves" if done else "starting") in out
    assert_whole(store, expected)
    assert {name: store.read(name) for name in before} == before


def test_generate_sigkilled_many_times_has_all_rows(
    command: list[str], location: Path, expected: list[dict]
):
    for waves in (1, 3, 6):
        stop_when_committed(location, waves, signal.SIGKILL, *command)
    code, out, err = run_command(*command)
    assert code == 0, err
    assert "continuing after" in out
    store = find_run(str(location))
    assert_whole(store, expected)
    assert len({manifest.attempt for manifest in Ledger(store).all().values()}) == 4


@pytest.mark.parametrize(("number", "ends"), [(signal.SIGINT, 130), (signal.SIGTERM, RETRY)])
def test_generate_asked_to_stop_says_how_to_go_on_and_goes_on(
    number: signal.Signals, ends: int, command: list[str], location: Path, expected: list[dict]
):
    code, out, err = stop_when_committed(location, 2, number, *command)
    assert code == ends, err
    assert "the same command continues the run" in " ".join(err.split())
    assert "Traceback" not in err
    store = find_run(str(location))
    before = committed_bytes(store)
    assert latest(store) is None
    committed = len(Ledger(store).waves())
    assert committed >= 2
    said = f"{committed} waves were committed by this attempt, 0 waves in flight dropped"
    assert said in " ".join(err.split())
    assert waves_told(out) == len(Ledger(store).waves())
    code, out, err = run_command(*command)
    assert code == 0, err
    assert_whole(store, expected)
    assert {name: store.read(name) for name in before} == before


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_generate_asked_to_stop_twice_drops_what_is_in_flight(
    number: signal.Signals, tmp_path: Path, location: Path
):
    command = stuck(tmp_path, location, max_num_seqs=1, hang_after=7)
    with started(*command) as process:
        await_waves(process, location, 1, PATIENCE_S)
        process.send_signal(number)
        await_words(process, "finishing the waves in flight")
        process.send_signal(number)
        _, err = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == {signal.SIGINT: 130, signal.SIGTERM: RETRY}[number], err
    assert "dropping the waves in flight" in err
    assert "0 waves in flight dropped" not in " ".join(err.split())


def test_generate_evicted_drops_what_is_not_whole_in_time(tmp_path: Path, location: Path):
    command = stuck(tmp_path, location, grace_s=0.5, max_num_seqs=1, hang_after=7)
    began = time.monotonic()
    code, _, err = stop_when_committed(location, 1, signal.SIGTERM, *command)
    assert code == RETRY, err
    assert "for at most 0.5 s" in err
    assert "waves in flight dropped" in " ".join(err.split())
    assert time.monotonic() - began < PATIENCE_S / 2


@pytest.mark.parametrize(("number", "ends"), [(signal.SIGINT, 130), (signal.SIGTERM, RETRY)])
def test_generate_stopped_while_engines_load_ends_without_waiting_for_them(
    number: signal.Signals, ends: int, tmp_path: Path, location: Path
):
    command = stuck(tmp_path, location, load_s=2)
    code, out, err = stop_when_committed(location, 0, number, *command)
    assert code == ends, err
    assert "the same command continues the run" in " ".join(err.split())
    assert "Traceback" not in err
    assert "committed" not in out


def test_generate_evicted_while_it_reads_its_roots_ends_at_once(tmp_path: Path, location: Path):
    roots = tmp_path / "roots.jsonl"
    os.mkfifo(roots)
    spec = make_spec(generation={"roots": {"data": {}}}, roots=str(roots))
    file = write_spec(spec, tmp_path / "spec.yaml")
    with started("generate", str(file), "--location", str(location)) as process:
        writer = await_reader(roots, process)
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=PATIENCE_S)
        os.close(writer)
    assert process.returncode == RETRY, err
    assert "Traceback" not in err


def stuck(folder: Path, location: Path, grace_s: float = 20, **scripted: float) -> list[str]:
    """A run whose waves take their time, and whose engine has faults."""
    slow = {"mean_tokens": 20, "step_s": 0.02, **scripted}
    spec = make_spec(scripted=slow, trees=5, waves_in_flight=2, grace_s=grace_s)
    file = write_spec(spec, folder / "spec.yaml")
    return ["generate", str(file), "--engine", "scripted", "--location", str(location)]


def await_words(process: "subprocess.Popen[str]", words: str) -> None:
    """Read what it says until it says so."""
    assert process.stderr is not None
    assert any(words in line for line in process.stderr), f"ended without saying {words!r}"


def await_reader(fifo: Path, process: "subprocess.Popen[str]") -> int:
    """Open a pipe for writing once somebody reads it."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            return os.open(fifo, os.O_WRONLY | os.O_NONBLOCK)
        except OSError:
            threading.Event().wait(0.005)
    raise AssertionError(f"nobody read {fifo}: {process.poll()}")


def test_generate_finished_run_started_again_does_nothing_and_says_so(
    command: list[str], location: Path
):
    code, out, err = run_command(*command)
    assert code == 0, err
    assert "is sealed" in out
    files = {file: file.stat().st_mtime_ns for file in location.rglob("*") if file.is_file()}
    code, out, err = run_command(*command)
    assert code == 0, err
    assert "was sealed already; nothing was done" in out
    now = {file: file.stat().st_mtime_ns for file in location.rglob("*") if file.is_file()}
    assert now == files
