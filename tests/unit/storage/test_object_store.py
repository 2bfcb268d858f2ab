"""Object stores behind a wire that loses answers and a server that is busy."""

from collections.abc import Iterator

import pytest

from pipeline.storage.ledger import Ledger
from pipeline.storage.object_store import FsspecStore
from pipeline.storage.open import prove_create, retries_of
from pipeline.storage.retry import Retry
from pipeline.storage.settle import settle
from schemas.errors import AlreadyExists, LocationError, NotFound, StoreError
from tests.s3_server import Asked, Wire, first, new_location, s3_server, wire_to
from tests.stored import make_manifest

AT_ONCE = Retry(tries=4, base_s=0.0)


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    with s3_server() as address:
        yield address


@pytest.fixture(scope="module")
def wired(endpoint: str) -> Iterator[tuple[str, Wire]]:
    with wire_to(endpoint) as pair:
        yield pair


@pytest.fixture
def wire(wired: tuple[str, Wire]) -> Wire:
    wired[1].clear()
    return wired[1]


@pytest.fixture
def store(wired: tuple[str, Wire], wire: Wire) -> FsspecStore:
    """Reaches the server over the wire."""
    return FsspecStore(new_location(), {"endpoint_url": wired[0]}, AT_ONCE)


@pytest.fixture
def direct(store: FsspecStore, endpoint: str) -> FsspecStore:
    """Another driver at the same location, with a wire that is whole."""
    return FsspecStore(store.location, {"endpoint_url": endpoint})


def test_create_that_was_done_in_spite_of_its_error_succeeds(
    store: FsspecStore, direct: FsspecStore, wire: Wire
) -> None:
    wire.fate = first("PUT", 1, "done, 503")
    store.create("nodes/a", b"ours")
    assert direct.read("nodes/a") == b"ours"
    assert wire.seen.count("PUT") == 2


def test_settle_whose_answers_are_lost_finds_its_own_bytes(
    store: FsspecStore, direct: FsspecStore, wire: Wire
) -> None:
    wire.fate = first("PUT", 1, "lose answer")
    assert settle(store, "nodes/a", b"ours") == b"ours"
    wire.fate = first("PUT", 99, "lose answer")
    assert settle(store, "nodes/b", b"ours") == b"ours"
    assert settle(direct, "nodes/b", b"theirs") == b"ours"


@pytest.mark.parametrize("status", ["500", "503", "409", "429"])
def test_create_on_a_busy_server_is_tried_again(
    store: FsspecStore, direct: FsspecStore, wire: Wire, status: str
) -> None:
    wire.fate = first("PUT", 2, status)
    store.create("nodes/a", b"ours")
    assert direct.read("nodes/a") == b"ours"
    assert wire.seen.count("PUT") == 3
    assert (retries_of(store), retries_of(direct)) == (2, 0)


def test_create_that_another_driver_won_in_between_is_refused(
    store: FsspecStore, direct: FsspecStore, wire: Wire
) -> None:
    def overtaken(asked: Asked) -> str:
        if asked.verb == "PUT" and asked.number == 1:
            direct.create("ledger/1.json", b"theirs")
            return "503"
        return "deliver"

    wire.fate = overtaken
    with pytest.raises(AlreadyExists):
        store.create("ledger/1.json", b"ours")
    assert direct.read("ledger/1.json") == b"theirs"


def test_create_on_a_server_that_stays_busy_fails_after_its_tries(
    store: FsspecStore, wire: Wire
) -> None:
    wire.fate = first("PUT", 99, "503")
    with pytest.raises(StoreError, match=r"cannot create"):
        store.create("nodes/a", b"ours")
    assert wire.seen.count("PUT") == AT_ONCE.tries


def test_refused_access_is_a_location_error_at_once(store: FsspecStore, wire: Wire) -> None:
    wire.fate = first("PUT", 99, "403")
    with pytest.raises(LocationError, match="credentials"):
        prove_create(store, "a")
    assert wire.seen == ["PUT"]


def test_read_and_list_on_a_busy_server_are_tried_again(
    store: FsspecStore, direct: FsspecStore, wire: Wire
) -> None:
    direct.create("nodes/a", b"theirs")
    wire.fate = first("GET", 2, "503")
    assert store.read("nodes/a") == b"theirs"
    wire.fate = first("LIST", 2, "503")
    assert store.list("nodes") == ["nodes/a"]
    assert wire.seen.count("GET") == wire.seen.count("LIST") == 3


def test_open_on_a_busy_server_is_tried_again(
    store: FsspecStore, direct: FsspecStore, wire: Wire
) -> None:
    direct.create("rows.jsonl", b"one\ntwo\n")
    wire.fate = lambda asked: "503" if asked.number == 1 else "deliver"
    with store.open("rows.jsonl") as file:
        assert list(file) == [b"one\n", b"two\n"]
    assert {"HEAD", "GET"} <= set(wire.seen) and len(wire.seen) > 3


def test_read_of_a_missing_object_is_asked_once(store: FsspecStore, wire: Wire) -> None:
    with pytest.raises(NotFound):
        store.read("nodes/a")
    assert wire.seen == ["GET"]


def test_commit_survives_when_every_first_answer_is_lost(
    store: FsspecStore, direct: FsspecStore, wire: Wire
) -> None:
    for method in ("PUT", "GET"):
        wire.fate = first(method, 1, "lose answer")
        ours = make_manifest(f"{len(method):06d}")
        assert Ledger(store).commit(ours) == ours
        assert Ledger(direct).read(ours.wave) == ours


def test_commit_returns_the_winner_when_the_answer_is_lost(
    store: FsspecStore, direct: FsspecStore, wire: Wire
) -> None:
    theirs = Ledger(direct).commit(make_manifest(attempt="theirs"))
    wire.fate = first("PUT", 1, "lose answer")
    assert Ledger(store).commit(make_manifest(attempt="ours")) == theirs


def test_prove_create_survives_lost_answers(store: FsspecStore, wire: Wire) -> None:
    wire.fate = first("PUT", 1, "lose answer")
    prove_create(store, "a")
    assert store.list("") == []


def test_missing_bucket_is_a_location_error(endpoint: str) -> None:
    store = FsspecStore("s3://no-such-bucket/runs", {"endpoint_url": endpoint}, AT_ONCE)
    with pytest.raises(LocationError, match=r"bucket .* exist"):
        prove_create(store, "a")


def test_missing_credentials_are_a_location_error(
    endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
    store = FsspecStore(new_location(), {"endpoint_url": endpoint}, AT_ONCE)
    with pytest.raises(LocationError, match="credentials"):
        store.create("run.json", b"x")
