"""Two drivers work on one run: each wave has one winner, and both end well."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import pytest

from jobs.generate import generate
from pipeline.storage.ledger import Ledger
from pipeline.storage.open import find_run, open_store
from pipeline.storage.snapshots import latest
from pipeline.storage.store import Store
from schemas.errors import Interrupted
from schemas.execution_spec import RunSpec
from tests.builders import (
    ODD,
    RUNNING,
    Bystander,
    assert_whole,
    defects_of,
    make_spec,
    memory_store,
    rows_of,
    run_scripted,
    write_spec,
)
from tests.command import started
from tests.faulty_store import Killed


class Overtaken:
    """A store whose driver is overtaken: something happens just before it makes a manifest."""

    def __init__(self, store: Store, overtake: Callable[[str], None]) -> None:
        self._store, self._overtake = store, overtake

    @property
    def location(self) -> str:
        return self._store.location

    def create(self, name: str, payload: bytes) -> None:
        if name.startswith("ledger/"):
            with taken_for_dead(self.location, "ours"):
                self._overtake(name)
        self._store.create(name, payload)

    def read(self, name: str) -> bytes:
        return self._store.read(name)

    def list(self, prefix: str) -> list[str]:
        return self._store.list(prefix)

    def delete(self, name: str) -> None:
        self._store.delete(name)


@contextmanager
def taken_for_dead(location: str, attempt: str) -> Iterator[None]:
    """Others take over what a driver claimed, though it lives."""
    RUNNING.discard((location, attempt))
    yield
    RUNNING.add((location, attempt))


def expected_rows(spec: RunSpec) -> list[dict]:
    store = memory_store()
    run_scripted(store, spec)
    return rows_of(store)


def commit_one_wave(store: Store, spec: RunSpec, attempt: str) -> None:
    """A rival commits the next wave, whichever that is, and leaves."""
    with pytest.raises(Interrupted):
        run_scripted(store, spec, attempt, Bystander(stop_after=1))


def test_generate_two_threads_one_run_each_wave_has_one_winner(location: str):
    spec = make_spec(scripted={**ODD, "step_s": 0.005}, waves_in_flight=2)
    watches = {"one": Bystander(), "two": Bystander()}
    with ThreadPoolExecutor(2) as drivers:
        running = [
            drivers.submit(run_scripted, open_store(location), spec, attempt, watch)
            for attempt, watch in watches.items()
        ]
        snapshots = [driver.result(timeout=100) for driver in running]
    store = open_store(location)
    assert snapshots[0] == snapshots[1] == latest(store)
    assert_whole(store, expected_rows(spec))
    manifests = Ledger(store).all()
    for attempt, watch in watches.items():
        assert sorted(manifest.wave for manifest in watch.seen) == sorted(manifests)
        won = {wave for wave, manifest in manifests.items() if manifest.attempt == attempt}
        assert won == manifests.keys() - set(watch.lost)


@pytest.mark.slow
def test_generate_two_commands_one_run_both_end_well(tmp_path: Path):
    spec = make_spec(scripted={**ODD, "step_s": 0.02}, waves_in_flight=2)
    file = write_spec(spec, tmp_path / "spec.yaml")
    where = str(tmp_path / "runs")
    command = ["generate", str(file), "--engine", "scripted", "--location", where]
    with started(*command) as one, started(*command) as two:
        for process in (one, two):
            out, err = process.communicate(timeout=100)
            assert process.returncode == 0, err
            assert "sealed" in out
    assert_whole(find_run(where), expected_rows(spec))


@pytest.mark.parametrize("guarantee", ["none", "seeded"])
def test_generate_overtaken_at_every_second_wave_goes_on_from_the_winners_rows(
    location: str, guarantee: str
):
    """Without seeds the rival's rows are others than ours, and ours must grow from them."""
    spec = make_spec(trees=4, generation={"guarantee": guarantee}, waves_in_flight=1)
    turn = count()

    def overtake(name: str) -> None:
        number = next(turn)
        if number % 2 == 0:
            commit_one_wave(open_store(location), spec, f"rival{number}")

    watch = Bystander()
    snapshot = run_scripted(Overtaken(open_store(location), overtake), spec, "ours", watch)
    store = open_store(location)
    winners = [manifest.attempt.rstrip("0123456789") for manifest in Ledger(store).all().values()]
    assert sorted(set(winners)) == ["ours", "rival"]
    assert len(watch.lost) == winners.count("rival") >= 3
    assert snapshot == latest(store)
    assert_whole(store, expected_rows(spec) if guarantee == "seeded" else rows_of(store))


def test_generate_overtaken_by_a_whole_run_ends_with_the_winners_rows(location: str):
    spec = make_spec(generation={"guarantee": "none"}, waves_in_flight=1)
    first = iter([True])

    def overtake(name: str) -> None:
        if next(first, False):
            run_scripted(open_store(location), spec, "rival")

    watch = Bystander()
    snapshot = run_scripted(Overtaken(open_store(location), overtake), spec, "ours", watch)
    store = open_store(location)
    assert {manifest.attempt for manifest in Ledger(store).all().values()} == {"rival"}
    assert snapshot == latest(store)
    assert_whole(store, rows_of(store))


def test_generate_killed_after_another_driver_sealed_leaves_nothing_for_good(tmp_path: Path):
    """The shards of the dead driver lie beside a complete snapshot until the next start."""
    spec = make_spec(location=str(tmp_path))
    with open(tmp_path / "log", "w") as log:
        first = generate(spec, log)
        store = first.store
        assert first.news

        def overtake(name: str) -> None:
            raise Killed(name)

        late = Overtaken(LedgerHidden(store), overtake)
        with pytest.raises(Killed):
            run_scripted(late, spec, "late")
        assert any("lies beside" in defect for defect in defects_of(store))
        again = generate(spec, log)
    assert not again.news
    assert_whole(store, expected_rows(spec))


class LedgerHidden:
    """A store as a driver saw it before the other one committed anything."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.location = store.location
        self.create, self.delete = store.create, store.delete

    def read(self, name: str) -> bytes:
        return self._store.read("ledger/none.json" if name.startswith("ledger/") else name)

    def list(self, prefix: str) -> list[str]:
        return [] if prefix == "ledger" else self._store.list(prefix)
