"""The real command is killed or asked to stop midway, and started again."""

import signal
from pathlib import Path

import pytest

from pipeline.storage.ledger import Ledger
from pipeline.storage.open import find_run
from pipeline.storage.snapshots import latest
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
from tests.command import manifests_in, run_command, stop_when_committed

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


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_generate_asked_to_stop_says_how_to_go_on_and_goes_on(
    number: signal.Signals, command: list[str], location: Path, expected: list[dict]
):
    code, out, err = stop_when_committed(location, 2, number, *command)
    assert code == 130, err
    assert "the same command continues the run" in " ".join(err.split())
    assert "Traceback" not in err
    store = find_run(str(location))
    before = committed_bytes(store)
    assert latest(store) is None
    if number == signal.SIGINT:
        assert " 0 waves in flight dropped" in " ".join(err.split())
        assert len(Ledger(store).waves()) >= 2
    assert out.count(" committed") == len(Ledger(store).waves())
    code, out, err = run_command(*command)
    assert code == 0, err
    assert_whole(store, expected)
    assert {name: store.read(name) for name in before} == before


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
