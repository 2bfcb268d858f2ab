"""What S3 refuses for good: said at once, and with what to check."""

import http.client
import logging
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from pipeline.storage.object_store import FsspecStore
from pipeline.storage.open import open_store, prove_create
from pipeline.storage.retry import Retry
from schemas.errors import AlreadyExists, LocationError, StoreError, Unavailable
from tests.s3_server import Asked, Wire, first, new_location, s3_server, wire_to

SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    with s3_server() as address:
        yield address


@pytest.fixture(scope="module")
def wired(endpoint: str) -> Iterator[tuple[str, Wire]]:
    with wire_to(endpoint) as pair:
        yield pair


@pytest.fixture
def wire(
    wired: tuple[str, Wire], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[Wire]:
    """The usual environment points to it, with no credentials in it."""
    wired[1].clear()
    monkeypatch.setenv("AWS_ENDPOINT_URL", wired[0])
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    yield wired[1]


@pytest.fixture
def keys(wire: Wire, monkeypatch: pytest.MonkeyPatch) -> str:
    """The id of a key in the environment."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "from-environment")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    return "from-environment"


@pytest.fixture
def strict(endpoint: str) -> Iterator[None]:
    """The server knows no key at all and asks for one."""
    _auth_after(endpoint, "0")
    yield
    _auth_after(endpoint, "inf")


def _auth_after(endpoint: str, requests: str) -> None:
    connection = http.client.HTTPConnection(urlsplit(endpoint).netloc, timeout=30)
    connection.request("POST", "/moto-api/reset-auth", requests)
    assert connection.getresponse().status == 200
    connection.close()


def store_at(location: str | None = None, **options: object) -> FsspecStore:
    """As the product opens it, with all its patience."""
    return FsspecStore(location or new_location(), options)


def refused(store: FsspecStore) -> str:
    """What is said, at once, about a location that cannot be used."""
    begun = time.monotonic()
    with pytest.raises(LocationError) as caught:
        prove_create(store, "a")
    assert time.monotonic() - begun < Retry().cap_s / 2, "it was tried again and again"
    assert SECRET not in str(caught.value)
    return str(caught.value)


def test_credentials_of_the_environment_are_used(wire: Wire, keys: str) -> None:
    prove_create(store_at(), "a")
    assert wire.key_ids == {keys}


def test_credentials_and_endpoint_of_a_profile_are_used(
    wire: Wire, wired: tuple[str, Wire], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    (tmp_path / "credentials").write_text(
        f"[lab]\naws_access_key_id = from-profile\naws_secret_access_key = {SECRET}\n"
    )
    (tmp_path / "config").write_text(
        f"[profile lab]\nregion = eu-west-3\nendpoint_url = {wired[0]}\n"
    )
    prove_create(store_at(profile="lab"), "a")
    monkeypatch.setenv("AWS_PROFILE", "lab")
    prove_create(store_at(), "b")
    assert wire.key_ids == {"from-profile"}
    assert wire.seen.count("DELETE") == 2


def test_missing_credentials_say_what_to_set(wire: Wire) -> None:
    assert "AWS_ACCESS_KEY_ID" in refused(store_at())
    assert not wire.seen


def test_half_credentials_say_what_to_set(wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "half")
    assert "AWS_SECRET_ACCESS_KEY" in refused(store_at())
    assert not wire.seen


def test_missing_profile_says_where_profiles_are(wire: Wire, keys: str) -> None:
    assert "AWS_PROFILE" in refused(store_at(profile="nobody"))
    assert not wire.seen


def test_unknown_key_says_what_to_check(wire: Wire, keys: str, strict: None) -> None:
    said = refused(store_at())
    assert "InvalidAccessKeyId" in said and "AWS_ACCESS_KEY_ID" in said
    assert wire.seen == ["PUT"]


REFUSALS = {
    "403": "allow to read, write, list and delete",
    "403 SignatureDoesNotMatch": "AWS_SECRET_ACCESS_KEY",
    "400 ExpiredToken": "Renew them",
    "403 RequestTimeTooSkewed": "clock",
    "301": "AWS_DEFAULT_REGION",
    "400 AuthorizationHeaderMalformed": "AWS_DEFAULT_REGION",
    "501": "If-None-Match",
}


@pytest.mark.parametrize("answer", REFUSALS)
def test_refusal_is_asked_once_and_says_what_to_check(wire: Wire, keys: str, answer: str) -> None:
    wire.fate = first("PUT", 99, answer)
    assert REFUSALS[answer] in refused(store_at())
    # The library itself looks a region up, once.
    assert wire.seen in (["PUT"], ["PUT", "HEAD", "PUT"])


def bucketless() -> FsspecStore:
    return store_at("s3://no-such-bucket/run")


@pytest.mark.parametrize(
    "ask",
    [
        lambda: bucketless().create("a", b"x"),
        lambda: bucketless().read("a"),
        lambda: bucketless().list("nodes"),
        lambda: bucketless().folders(),
    ],
    ids=["create", "read", "list", "folders"],
)
def test_missing_bucket_is_never_an_empty_one(
    wire: Wire, keys: str, ask: Callable[[], object]
) -> None:
    with pytest.raises(LocationError, match=r"Does the bucket exist\?"):
        ask()
    assert len(wire.seen) <= 2


def test_name_that_no_bucket_can_have_is_refused(wire: Wire, keys: str) -> None:
    assert "bucket" in refused(store_at("s3://not a bucket/run")).lower()
    assert not wire.seen


def test_store_that_ignores_the_condition_is_refused(wire: Wire, keys: str) -> None:
    wire.drops = {"if-none-match"}
    said = refused(store_at())
    assert "two drivers could overwrite each other" in said
    assert wire.seen[-1] == "DELETE"


def test_store_that_is_away_is_no_wrong_location(wire: Wire, keys: str) -> None:
    """Who starts commands again by themselves would give up on a wrong one."""
    wire.fate = lambda asked: "break"
    store = FsspecStore(new_location(), None, Retry(tries=2, base_s=0.0))
    with pytest.raises(Unavailable, match="AWS_ENDPOINT_URL"):
        prove_create(store, "a")


def test_wait_that_the_store_asks_for_is_kept(wire: Wire, keys: str) -> None:
    wire.fate = first("PUT", 1, "503 after 1")
    begun = time.monotonic()
    FsspecStore(new_location(), None, Retry(base_s=0.0)).create("a", b"x")
    assert time.monotonic() - begun > 1


def test_upload_in_parts_is_never_begun(wire: Wire, keys: str) -> None:
    with pytest.raises(StoreError, match="candidates_per_wave"):
        store_at().create("nodes/a", bytes(5 << 30))
    assert not wire.seen


def test_token_in_an_endpoint_is_told_to_nobody(
    wire: Wire, keys: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1/?token=Hunter2")
    said = refused(store_at())
    assert "127.0.0.1:1" in said and "Hunter2" not in said


@pytest.mark.parametrize(
    "location", [f"s3://AKIAEXAMPLE:{SECRET}@bucket/runs", f"s3://bucket/runs?signature={SECRET}"]
)
def test_location_with_a_secret_is_refused_without_telling_it(location: str) -> None:
    with pytest.raises(LocationError, match="environment") as caught:
        open_store(location)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    ("location", "extra"), [("gs://bucket/runs", "gs"), ("az://box/runs", "az")]
)
def test_store_without_its_package_names_the_extra(location: str, extra: str) -> None:
    if find_spec({"gs": "gcsfs", "az": "adlfs"}[extra]):
        pytest.skip("the package is installed")
    with pytest.raises(LocationError, match=rf"pip install 'arborist\[{extra}\]'"):
        open_store(location)


def test_try_again_is_logged_from_the_third_on(
    wire: Wire, keys: str, caplog: pytest.LogCaptureFixture
) -> None:
    wire.fate = first("PUT", 3, "503")
    store = FsspecStore(new_location(), None, Retry(base_s=0.0))
    with caplog.at_level(logging.WARNING):
        store.create("a", b"x")
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "503 SlowDown" in caplog.text


def test_another_drivers_object_is_told_from_ours_after_lost_answers(
    wire: Wire, keys: str, endpoint: str
) -> None:
    """The library repeats a request by itself where a connection that it kept breaks."""
    theirs = FsspecStore(new_location(), {"endpoint_url": endpoint})
    ours = FsspecStore(theirs.location, None, Retry(tries=3, base_s=0.0))

    def overtaken(asked: Asked) -> str:
        if asked.verb == "PUT" and asked.number == 1:
            theirs.create("ledger/1.json", b"theirs")
        return "lose answer" if asked.number <= 2 else "deliver"

    wire.fate = overtaken
    with pytest.raises(AlreadyExists):
        ours.create("ledger/1.json", b"ours")
    assert theirs.read("ledger/1.json") == b"theirs"
