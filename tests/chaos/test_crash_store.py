"""The store fails at its n-th operation, for every n; the run is resumed and loses nothing.

Larger runs, and failures on top of failures, are what `test_schedules` draws.
"""

from collections.abc import Callable, Iterator

import pytest

from pipeline.storage.open import open_store
from pipeline.storage.store import Store
from schemas.errors import LocationError, StoreError
from schemas.execution_spec import RunSpec
from tests.builders import assert_whole, make_spec, memory_store, rows_of, run_scripted
from tests.faulty_store import FaultyStore, Killed, Mode
from tests.s3_server import new_location, s3_server

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


def runs_to_the_end(faulty: FaultyStore, spec: RunSpec) -> bool:
    """Whether the run got over the fault; otherwise it ends with what befits a failed store."""
    try:
        run_scripted(faulty, spec)
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


# To be killed before an operation leaves what being killed after the one before it leaves.


@pytest.mark.parametrize(
    "mode",
    [pytest.param("before", marks=pytest.mark.long), "after", "killed after"],
)
def test_generate_memory_store_fails_anywhere_resume_has_all_rows(mode: Mode):
    crash_everywhere(SMALL, mode, memory_store)


@pytest.mark.long
@pytest.mark.timeout(180)
def test_generate_killed_anywhere_on_s3_resume_has_all_rows(s3: None):
    crash_everywhere(SMALL, "killed after", lambda: open_store(new_location()))
