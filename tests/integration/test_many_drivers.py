"""Several drivers, each a process of its own, share a run; one is killed, hangs, or is too many."""

import json
import os
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from jobs.status import as_json, as_text, standing_of
from jobs.wiring import open_run_value
from pipeline.plan.agenda import finished_cohorts, planned_waves
from pipeline.plan.plan import make_plan
from pipeline.storage.claims import read_heartbeats
from pipeline.storage.ledger import Ledger
from pipeline.storage.open import find_run
from pipeline.storage.runs import open_run
from pipeline.storage.snapshots import latest
from pipeline.storage.store import Store
from schemas.errors import RETRY
from schemas.wave_id import WaveId
from tests.builders import assert_whole, make_spec, memory_store, rows_of, run_scripted, write_spec
from tests.command import manifests_in, started
from tests.processes import until

PATIENCE_S = 200.0
SLOW = {"mean_tokens": 20, "step_s": 0.02}
LONG_S = 600.0
"""In which no silence says anything."""
TREES = 16
"""Each a cohort of some waves."""


@pytest.fixture
def location(tmp_path: Path) -> Path:
    return tmp_path / "runs"


def command(location: Path, **execution: Any) -> list[str]:
    """A run on this machine's files, each driver of which has two waves in flight."""
    changes = {"scripted": SLOW, "trees": TREES, "waves_in_flight": 2, "claim_s": 20.0, **execution}
    file = write_spec(make_spec(**changes), location.parent / "spec.yaml")
    arguments = ["--engine", "scripted", "--location", str(location), "--json"]
    return ["generate", str(file), *arguments]


def expected_rows(**changes: Any) -> list[dict]:
    store = memory_store()
    run_scripted(
        store, make_spec(**{"scripted": SLOW | {"step_s": 0.0}, "trees": TREES, **changes})
    )
    return rows_of(store)


class Drivers:
    """The command several times, each told apart by its attempt."""

    def __init__(self, stack: ExitStack, location: Path, command: list[str]) -> None:
        self._stack, self._location, self._command = stack, location, command
        self.processes: list[subprocess.Popen[str]] = []

    def start(self, count: int) -> None:
        for _ in range(count):
            self.processes.append(self._stack.enter_context(started(*self._command)))

    @property
    def store(self) -> Store:
        return find_run(str(self._location))

    def await_working(self, count: int) -> dict[int, str]:
        """Wait until so many have committed something; attempts by process id."""

        def working() -> bool:
            return len({m.attempt for m in self._manifests()}) >= count

        until(working, PATIENCE_S)
        beats = read_heartbeats(self.store, lambda attempt: -1)
        return {beat.driver.pid: beat.driver.attempt for beat in beats}

    def kill_within_a_cohort(self, process: subprocess.Popen[str], attempt: str) -> None:
        """Kill a driver when it has committed a part of a cohort, which others have to finish."""

        def stopped_within() -> bool:
            process.send_signal(signal.SIGSTOP)
            if attempt in self._within():
                return True
            process.send_signal(signal.SIGCONT)
            return False

        until(stopped_within, PATIENCE_S)
        process.kill()
        process.wait(PATIENCE_S)

    def _within(self) -> set[str]:
        """The attempts that committed waves of a cohort which is not whole."""
        run = open_run_value(open_run(self.store))
        plan = make_plan(run.spec, run.recipe, run.trees)
        ledger = Ledger(self.store).all()
        committed = {wave: manifest.frontier for wave, manifest in ledger.items()}
        whole = finished_cohorts(planned_waves(run.spec, run.recipe, plan, committed))
        waves = {WaveId.parse(wave): manifest.attempt for wave, manifest in ledger.items()}
        return {attempt for wave, attempt in waves.items() if wave.cohort not in whole}

    def _manifests(self) -> list[Any]:
        return list(Ledger(self.store).all().values()) if manifests_in(self._location) else []

    def ends(self) -> Iterator[tuple[int, dict[str, Any], str]]:
        """Exit code, figures, and what was said, of each in turn."""
        for process in self.processes:
            out, err = process.communicate(timeout=PATIENCE_S)
            yield process.returncode, json.loads(out) if out else {}, err


def in_threads(*work: Callable[[], Any]) -> list[Any]:
    with ThreadPoolExecutor(len(work)) as threads:
        return [done.result(PATIENCE_S) for done in [threads.submit(one) for one in work]]


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def attempts_by_cohort(store: Store) -> dict[int, set[str]]:
    found: dict[int, set[str]] = {}
    for wave, manifest in Ledger(store).all().items():
        found.setdefault(WaveId.parse(wave).cohort, set()).add(manifest.attempt)
    return found


@pytest.mark.timeout(600)
def test_four_drivers_one_killed_share_the_run_and_nothing_is_made_twice(
    location: Path, stack: ExitStack
):
    drivers = Drivers(stack, location, command(location, drivers=4))
    drivers.start(4)
    attempts = drivers.await_working(4)
    killed = drivers.processes[1]
    drivers.kill_within_a_cohort(killed, attempts[killed.pid])
    ends = list(drivers.ends())
    assert [code for code, _, _ in ends] == [0, -signal.SIGKILL, 0, 0], ends
    store = drivers.store
    assert_whole(store, expected_rows())
    assert store.list("claims") == store.list("drivers") == []
    # Only what the killed one had in flight was asked for twice.
    assert [figures["waves_in_vain"] for code, figures, _ in ends if code == 0] == [0, 0, 0]
    of_cohort = attempts_by_cohort(store)
    assert set().union(*of_cohort.values()) == set(attempts.values())
    shared = [of for of in of_cohort.values() if len(of) > 1]
    assert shared and all(attempts[killed.pid] in of for of in shared)
    assert "its process is gone; what it claimed is taken over" in "".join(err for *_, err in ends)


@pytest.mark.timeout(600)
def test_driver_that_hangs_loses_its_cohorts_and_ends_well_when_it_comes_back(
    location: Path, stack: ExitStack
):
    drivers = Drivers(stack, location, command(location, claim_s=3.0))
    drivers.start(1)
    drivers.await_working(1)
    hanging = drivers.processes[0]
    hanging.send_signal(signal.SIGSTOP)
    drivers.start(1)
    out, err = drivers.processes[1].communicate(timeout=PATIENCE_S)
    assert drivers.processes[1].returncode == 0, err
    assert "nothing was heard of it for" in err
    assert json.loads(out)["complete"]
    hanging.send_signal(signal.SIGCONT)
    out, err = hanging.communicate(timeout=PATIENCE_S)
    assert hanging.returncode == 0, err
    # What it had in flight when it was stopped, others have made since.
    assert json.loads(out)["waves_in_vain"] <= 2
    assert_whole(drivers.store, expected_rows())
    assert drivers.store.list("claims") == drivers.store.list("drivers") == []


@pytest.mark.timeout(600)
def test_second_driver_started_by_mistake_loads_no_engine_and_waits_for_the_first(
    location: Path, stack: ExitStack
):
    """All that there is, is one cohort."""
    drivers = Drivers(stack, location, command(location, trees=1, claim_s=LONG_S))
    drivers.start(1)
    [(pid, attempt)] = drivers.await_working(1).items()
    first = drivers.processes[0]
    first.send_signal(signal.SIGSTOP)
    drivers.start(1)
    second = drivers.processes[1]
    said = read_until(second, "waiting for cohort 0 of attempt")
    assert attempt in said and "loading engines" not in said
    standing = standing_of(drivers.store)
    held = {one.driver.pid: (one.state, one.cohorts) for one in standing.drivers}
    assert held[pid] == ("growing", (0,))
    assert f"driver {attempt} on {os.uname().nodename}: growing, holds cohorts 0" in as_text(
        standing
    )
    holding = {one["attempt"]: one["cohorts"] for one in as_json(standing)["drivers"]}
    assert holding[attempt] == [0]
    first.send_signal(signal.SIGCONT)
    [first_end, second_end] = drivers.ends()
    assert (first_end[0], second_end[0]) == (0, 0), (first_end, second_end)
    assert "loading engines" not in second_end[2]
    assert (first_end[1]["waves_in_vain"], second_end[1]["waves_in_vain"]) == (0, 0)
    assert_whole(drivers.store, expected_rows(trees=1))
    assert standing_of(drivers.store).drivers == ()


@pytest.mark.timeout(600)
@pytest.mark.parametrize(("number", "ends"), [(signal.SIGINT, 130), (signal.SIGTERM, RETRY)])
def test_waiting_driver_that_is_asked_to_stop_stops(
    number: signal.Signals, ends: int, location: Path, stack: ExitStack
):
    drivers = Drivers(stack, location, command(location, trees=1, claim_s=LONG_S))
    drivers.start(1)
    drivers.await_working(1)
    drivers.processes[0].send_signal(signal.SIGSTOP)
    drivers.start(1)
    second = drivers.processes[1]
    read_until(second, "waiting for cohort 0")
    second.send_signal(number)
    _, err = second.communicate(timeout=PATIENCE_S)
    assert second.returncode == ends, err
    assert "the same command continues the run" in " ".join(err.split())
    assert "Traceback" not in err


@pytest.mark.timeout(600)
def test_driver_that_waits_takes_over_when_the_other_is_killed(location: Path, stack: ExitStack):
    drivers = Drivers(stack, location, command(location, trees=1, claim_s=LONG_S))
    drivers.start(1)
    drivers.await_working(1)
    first = drivers.processes[0]
    first.send_signal(signal.SIGSTOP)
    drivers.start(1)
    second = drivers.processes[1]
    read_until(second, "waiting for cohort 0")
    first.kill()
    first.wait(PATIENCE_S)
    out, err = second.communicate(timeout=PATIENCE_S)
    assert second.returncode == 0, err
    assert "loading engines" in err
    assert json.loads(out)["waves_in_vain"] == 0
    assert_whole(drivers.store, expected_rows(trees=1))


def read_until(process: "subprocess.Popen[str]", words: str) -> str:
    """What it says up to and with a line."""
    assert process.stderr is not None
    timer = threading.Timer(PATIENCE_S, process.kill)
    timer.start()
    said = ""
    for line in process.stderr:
        said += line
        if words in line:
            timer.cancel()
            return said
    raise AssertionError(f"ended without saying {words!r}: {said}")


def test_two_drivers_on_one_budget_exceed_it_by_a_cohort_at_most():
    """Of alike cohorts, as no turn is dropped."""
    changes = {"trees": TREES, "fanouts": (2, 2), "scripted": {"mean_tokens": 20}}
    free, store = memory_store(), memory_store()
    one_cohort = run_scripted(free, make_spec(**changes)).counts.asked // TREES
    spec = make_spec(**changes, budget={"nodes": TREES // 2 * one_cohort})
    snapshots = in_threads(
        lambda: run_scripted(store, spec, "one"), lambda: run_scripted(store, spec, "two")
    )
    begun = {WaveId.parse(wave).cohort for wave in Ledger(store).all()}
    assert TREES // 2 <= len(begun) <= TREES // 2 + 1
    assert begun == set(range(len(begun))), "the first ones of the plan"
    assert snapshots[0] == snapshots[1] == latest(store)
    assert {WaveId.parse(entry.wave).cohort for entry in snapshots[0].manifests} == begun


def test_two_that_seal_at_once_seal_the_same():
    """Just before one writes its snapshot, the other one has sealed."""
    store, spec = memory_store(), make_spec()
    sealed = []

    class Late:
        """A store whose driver comes second with its snapshot."""

        location = store.location
        read, list, delete = store.read, store.list, store.delete

        def create(self, name: str, payload: bytes) -> None:
            if name.startswith("snapshots/") and not sealed:
                sealed.append(run_scripted(store, spec, "other"))
            store.create(name, payload)

    assert run_scripted(Late(), spec, "one") == sealed[0]
    assert_whole(store, rows_of(store))
    assert store.list("claims") == store.list("drivers") == []
