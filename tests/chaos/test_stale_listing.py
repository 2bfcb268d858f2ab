"""A store whose listings do not show what was just made: no row is lost by that."""

import pytest

from pipeline.storage.ledger import Ledger
from pipeline.storage.snapshots import latest, sweep_orphans
from pipeline.storage.store import Store
from schemas.errors import CorruptData, Interrupted, StoreError
from tests.builders import Bystander, assert_whole, make_spec, memory_store, rows_of, run_scripted

SPEC = make_spec(trees=4)
SPEC_OF_ONE_COHORT = make_spec(trees=4, budget={"nodes": 1})


class Blind:
    """A store as it is, but that listings of one folder are as they were at the beginning."""

    def __init__(self, store: Store, folder: str) -> None:
        self._store, self._folder = store, folder
        self.location = store.location
        self.read, self.create, self.delete = store.read, store.create, store.delete

    def list(self, prefix: str) -> list[str]:
        return [] if prefix == self._folder else self._store.list(prefix)


@pytest.fixture(scope="module")
def expected() -> list[dict]:
    store = memory_store()
    run_scripted(store, SPEC)
    return rows_of(store)


@pytest.fixture
def begun() -> Store:
    """A run with some waves."""
    store = memory_store()
    with pytest.raises(Interrupted):
        run_scripted(store, SPEC, "first", Bystander(stop_after=6))
    return store


def test_resume_that_sees_no_wave_makes_none_again(begun: Store, expected: list[dict]):
    """A wave is looked for by its name before it is opened; the end waits for a true listing."""
    before = Ledger(begun).all()
    with pytest.raises(CorruptData, match="is not committed, so the run cannot be sealed"):
        run_scripted(Blind(begun, "ledger"), SPEC, "second")
    after = Ledger(begun).all()
    assert before == {wave: after[wave] for wave in before}
    assert latest(begun) is None
    run_scripted(begun, SPEC, "third")
    assert Ledger(begun).all() == after
    assert_whole(begun, expected)


def test_seal_under_a_number_that_is_taken_and_not_shown_stops_with_a_message(
    expected: list[dict],
):
    store = memory_store()
    partial = run_scripted(store, SPEC_OF_ONE_COHORT)
    assert not partial.complete
    with pytest.raises(StoreError, match="does not show snapshot 1, which is there"):
        run_scripted(Blind(store, "snapshots"), SPEC, "second")
    assert latest(store) == partial
    run_scripted(store, SPEC, "third")
    assert_whole(store, expected)


def test_orphans_that_no_listing_shows_are_swept_by_the_next_start(
    begun: Store, expected: list[dict]
):
    orphan = "nodes/000003-dead.parquet"
    begun.create(orphan, b"what a driver left that was killed")
    snapshot = run_scripted(Blind(begun, "nodes"), SPEC, "second")
    assert rows_of(begun) == expected
    assert orphan in begun.list("nodes")
    assert sweep_orphans(begun, snapshot) == 1
    assert_whole(begun, expected)
