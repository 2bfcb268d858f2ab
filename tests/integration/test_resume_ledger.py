"""A resumed driver and a ledger that it sees only in part, or that lost a file."""

from typing import Any

import pytest

from pipeline.storage.ledger import Ledger
from pipeline.storage.store import Store
from schemas.errors import CorruptData, Interrupted
from schemas.wave_id import WaveId
from tests.builders import (
    Bystander,
    assert_whole,
    make_spec,
    memory_store,
    rows_of,
    run_scripted,
)

WAVES = 5
"""Committed before the driver is killed."""


class LateListing:
    """At its first listing of the ledger, no wave shows that lies above another one."""

    def __init__(self, store: Store) -> None:
        self._store, self.unseen = store, ()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def list(self, folder: str) -> list[str]:
        names = self._store.list(folder)
        if folder != "ledger" or self.unseen:
            return names
        self.unseen = tuple(f"ledger/{wave}.json" for wave in sorted(above(self._store)))
        return [name for name in names if name not in self.unseen]


def above(store: Store) -> set[str]:
    parents = (WaveId.parse(wave).parent for wave in Ledger(store).waves())
    return {parent.name for parent in parents if parent is not None}


@pytest.fixture
def killed() -> Store:
    """A run whose driver is dead."""
    store = memory_store()
    with pytest.raises(Interrupted):
        run_scripted(store, make_spec(), "first", Bystander(stop_after=WAVES))
    assert above(store)
    return store


def test_listing_that_catches_a_wave_before_the_one_above_it_costs_nothing(killed):
    whole = memory_store()
    run_scripted(whole, make_spec())
    listing = LateListing(killed)
    watch = Bystander()
    run_scripted(listing, make_spec(), "second", watch)
    assert listing.unseen
    assert len(watch.seen) == len(Ledger(whole).waves()) - WAVES, "what was there is not met again"
    assert_whole(killed, rows_of(whole))


def test_manifest_that_was_removed_above_others_ends_a_resume(killed):
    gone = max(above(killed))
    killed.delete(f"ledger/{gone}.json")
    with pytest.raises(CorruptData, match=rf"{gone}\.json: is not there, .*arborist repair"):
        run_scripted(killed, make_spec(), "second")
