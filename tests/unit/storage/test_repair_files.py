"""Repairs count whatever a listing shows."""

import uuid

import pytest

from pipeline.storage.open import open_store
from pipeline.storage.repairs import read_repairs, write_repair
from pipeline.storage.store import Store
from schemas.errors import CorruptData
from schemas.manifest import Repair


class OldListing:
    """Lists what was there when it was made; reads and creates as its store does."""

    def __init__(self, store: Store) -> None:
        self._store, self._names = store, store.list("")
        self.location, self.read = store.location, store.read
        self.create, self.delete = store.create, store.delete

    def list(self, prefix: str) -> list[str]:
        return [name for name in self._names if name.startswith(f"{prefix}/")]


def repair(number: int, wave: str) -> Repair:
    return Repair(run_id="r", number=number, waves=(wave,), reasons=("a flipped byte",))


@pytest.fixture
def store() -> Store:
    return open_store(f"memory://{uuid.uuid4().hex}")


@pytest.mark.parametrize("listed", [0, 1, 2])
def test_repairs_that_a_listing_does_not_show_yet_are_read(store, listed):
    for number in range(1, listed + 1):
        write_repair(store, repair(number, "000001"))
    old = OldListing(store)
    write_repair(store, repair(listed + 1, "000002"))
    write_repair(store, repair(listed + 2, "000002"))
    repairs = read_repairs(old)
    assert repairs.last == listed + 2
    assert repairs.epoch_of("000002") == listed + 2


def test_a_repair_that_was_removed_is_missed(store):
    for number in (1, 2, 3):
        write_repair(store, repair(number, "000001"))
    store.delete("repairs/00002.json")
    with pytest.raises(CorruptData, match="one was removed"):
        read_repairs(store)
