"""What every store promises: whole objects, created once, listed completely."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import chain

import pytest

from pipeline.storage.open import join, open_store, prove_create
from pipeline.storage.store import Store
from schemas.errors import AlreadyExists, NotFound, StoreError

OpenAgain = Callable[[], Store]

ESCAPING = [
    "",
    "/",
    "/etc/passwd",
    "..",
    "../other/run.json",
    "nodes/../../run.json",
    "./run.json",
    "nodes//a",
    "nodes/",
    ".tmp/a",
    "nodes/.hidden",
    "a\x00b",
    "nodes/" + "a" * 256,
    "nodes/" + "é" * 128,
    "/".join(["a" * 200] * 6),
]


def test_create_then_read_gives_the_same_bytes(store: Store, open_again: OpenAgain) -> None:
    payload = bytes(range(256)) * 1000
    store.create("nodes/a.parquet", payload)
    store.create("empty", b"")
    assert open_again().read("nodes/a.parquet") == payload
    assert open_again().read("empty") == b""


def test_create_of_a_taken_name_is_refused_and_changes_nothing(
    store: Store, open_again: OpenAgain
) -> None:
    store.create("run.json", b"first")
    for other in (store, open_again()):
        with pytest.raises(AlreadyExists, match=r"run\.json"):
            other.create("run.json", b"second")
    assert store.read("run.json") == b"first"
    assert store.list("") == ["run.json"]


def test_create_after_delete_succeeds(store: Store) -> None:
    store.create("a", b"first")
    store.delete("a")
    store.create("a", b"second")
    assert store.read("a") == b"second"


def test_racing_creates_have_one_winner_whose_bytes_stay(
    store: Store, open_again: OpenAgain
) -> None:
    drivers = [open_again() for _ in range(6)]
    for name in ("ledger/1.json", "ledger/2.json", "ledger/3.json"):
        won = race(drivers, name)
        assert len(won) == 1
        assert store.read(name) == won[0]


def race(drivers: list[Store], name: str) -> list[bytes]:
    """Payloads of the drivers whose create succeeded."""
    start = threading.Barrier(len(drivers))

    def create(number: int) -> list[bytes]:
        payload = f"by driver {number}".encode() * 1000
        start.wait(timeout=60)
        try:
            drivers[number].create(name, payload)
        except AlreadyExists:
            return []
        return [payload]

    with ThreadPoolExecutor(len(drivers)) as threads:
        return list(chain.from_iterable(threads.map(create, range(len(drivers)))))


def test_a_reader_beside_a_writer_sees_whole_objects_or_none(
    store: Store, open_again: OpenAgain
) -> None:
    payload = bytes(4_000_000)
    names = [f"nodes/{index}" for index in range(8)]
    writer = threading.Thread(target=lambda: [store.create(name, payload) for name in names])
    reader, sizes = open_again(), set()
    writer.start()
    while writer.is_alive():
        sizes |= {len(reader.read(name)) for name in reader.list("nodes")}
        sizes |= {size for name in names if (size := size_or_none(reader, name)) is not None}
    writer.join()
    assert sizes <= {len(payload)}
    assert store.list("nodes") == names


def size_or_none(store: Store, name: str) -> int | None:
    try:
        return len(store.read(name))
    except NotFound:
        return None


def test_list_gives_all_names_below_a_folder_sorted(store: Store, open_again: OpenAgain) -> None:
    names = ["nodes/b", "nodes/a", "nodes/deep/er/c", "nodes.txt", "nodes2/d", "run.json"]
    names += [f"ledger/{index:06d}.json" for index in range(20)]
    for name in names:
        store.create(name, b"x")
    for reader in (store, open_again()):
        assert reader.list("nodes") == ["nodes/a", "nodes/b", "nodes/deep/er/c"]
        assert reader.list("nodes/") == reader.list("nodes")
        assert reader.list("") == sorted(names)
        assert reader.list("dropped") == []
        assert reader.list("run.json") == []


def test_list_at_once_shows_what_others_created_and_deleted(
    store: Store, open_again: OpenAgain
) -> None:
    other = open_again()
    assert store.list("ledger") == []
    other.create("ledger/1.json", b"x")
    assert store.list("ledger") == ["ledger/1.json"]
    other.delete("ledger/1.json")
    assert store.list("ledger") == []


def test_list_names_can_be_read(store: Store) -> None:
    store.create("nodes/deep/a b+%41é.parquet", b"odd")
    assert [store.read(name) for name in store.list("")] == [b"odd"]


def test_delete_of_a_missing_object_is_no_error(store: Store) -> None:
    store.delete("nodes/a")
    store.create("nodes/a", b"x")
    store.delete("nodes/a")
    store.delete("nodes/a")
    assert store.list("") == []


def test_read_of_a_missing_object_is_not_found(store: Store) -> None:
    with pytest.raises(NotFound, match="nodes/a"):
        store.read("nodes/a")
    store.create("nodes/a", b"x")
    with pytest.raises(NotFound):
        store.read("nodes")


@pytest.mark.parametrize("name", ESCAPING)
def test_names_that_could_escape_are_refused(store: Store, name: str) -> None:
    for operation in (
        lambda: store.create(name, b"x"),
        lambda: store.read(name),
        lambda: store.delete(name),
    ):
        with pytest.raises(StoreError, match="cannot name an object"):
            operation()


def test_prove_create_passes_again_and_again_and_leaves_nothing(store: Store) -> None:
    prove_create(store, "attempt-1")
    prove_create(store, "attempt-1")
    assert store.list("") == []


def test_two_locations_do_not_see_each_other(location: str, open_again: OpenAgain) -> None:
    one, two = open_store(join(location, "run-1")), open_store(join(location, "run-10"))
    one.create("run.json", b"one")
    two.create("run.json", b"two")
    assert one.read("run.json") == b"one"
    assert one.list("") == two.list("") == ["run.json"]
    assert open_again().list("") == ["run-1/run.json", "run-10/run.json"]
