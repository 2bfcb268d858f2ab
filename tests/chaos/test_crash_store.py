"""The store fails at its n-th operation, for every n; the run is resumed and loses nothing."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pipeline.storage.open import open_store
from pipeline.storage.store import Store
from schemas.errors import LocationError, StoreError
from schemas.execution_spec import RunSpec
from tests.builders import assert_whole, make_spec, memory_store, rows_of, run_scripted
from tests.faulty_store import MODES, FaultyStore, Killed, Mode
from tests.s3_server import new_location, s3_server

DEEP = make_spec(fanouts=(2, 1, 2, 1), bounds=(1, 6))
"""Two cohorts and four levels; one of them has two waves."""

SMALL = make_spec(fanouts=(2, 1), trees=1, bounds=(1, 2))
"""A first wave, and waves of one parent below it."""


def count_operations(spec: RunSpec) -> tuple[int, list[dict]]:
    """How many operations a run takes that never fails, and its rows."""
    counting = FaultyStore(memory_store())
    run_scripted(counting, spec)
    operations = len(counting.operations)
    return operations, rows_of(counting)


def crash_everywhere(spec: RunSpec, mode: Mode, new_store: Callable[[], Store]) -> None:
    """Fail at each operation of a run in turn, resume as another attempt, and compare."""
    operations, expected = count_operations(spec)
    for fail_at in range(1, operations + 1):
        store = new_store()
        faulty = FaultyStore(store, fail_at, mode)
        finished = runs_to_the_end(faulty, spec)
        because = f"{mode} operation {fail_at}: {faulty.operations[fail_at - 1 : fail_at]}"
        assert faulty.failed, because
        assert not (finished and mode.startswith("killed")), because
        if finished:
            assert_whole(store, expected, because)
        run_scripted(store, spec, "second")
        assert_whole(store, expected, because)


def runs_to_the_end(faulty: FaultyStore, spec: RunSpec, attempt: str = "first") -> bool:
    """Whether the run got over the fault; otherwise it ends with what befits a failed store."""
    try:
        run_scripted(faulty, spec, attempt)
    except (Killed, StoreError):
        return False
    except LocationError as error:
        # The proof of the location runs before anything is written.
        assert isinstance(error.__cause__, StoreError)
        return False
    return True


@pytest.fixture(scope="module")
def s3() -> Iterator[None]:
    with s3_server():
        yield


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.timeout(180)
def test_generate_memory_store_fails_anywhere_resume_has_all_rows(mode: Mode):
    crash_everywhere(DEEP, mode, memory_store)


# To be killed before an operation leaves what being killed after the one before it leaves, so
# the slower stores are asked for one of the two.


@pytest.mark.timeout(180)
def test_generate_killed_anywhere_on_files_resume_has_all_rows(tmp_path: Path):
    locations = (f"file://{tmp_path}/{number}" for number in range(1000))
    crash_everywhere(SMALL, "killed after", lambda: open_store(next(locations)))


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_generate_killed_anywhere_on_s3_resume_has_all_rows(s3: None):
    crash_everywhere(SMALL, "killed after", lambda: open_store(new_location()))


@pytest.mark.parametrize("mode", ["killed before", "killed after"])
def test_generate_every_attempt_is_killed_later_the_run_still_ends(mode: Mode):
    _, expected = count_operations(DEEP)
    store = memory_store()
    for attempt in range(1, 40):
        faulty = FaultyStore(store, 4 * attempt, mode)
        if runs_to_the_end(faulty, DEEP, f"attempt{attempt}"):
            break
    assert attempt > 4
    assert_whole(store, expected)
