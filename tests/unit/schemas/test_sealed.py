"""Sealed files: what was written, or the error that says what is wrong."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.errors import CorruptData, EnvironmentMismatch, NewerSchema
from schemas.fingerprint import canonical, digest
from schemas.manifest import FORMAT_VERSION as OURS
from schemas.manifest import Counts, Manifest
from tests.stored import make_manifest, make_run_file

MANIFEST = make_manifest()
NEWER = OURS + 1
PAYLOAD = MANIFEST.to_bytes()


def resealed(**changes):
    content = json.loads(PAYLOAD) | changes
    content.pop("digest")
    return json.dumps(content | {"digest": digest(canonical(content))}).encode()


def read(payload):
    return Manifest.from_bytes(payload, name="ledger/000000.json")


def test_sealed_file_reads_back():
    assert read(PAYLOAD) == MANIFEST
    run_file = make_run_file()
    assert type(run_file).from_bytes(run_file.to_bytes(), name="run.json") == run_file


@given(st.integers(0, 50), st.dictionaries(st.text(), st.integers(0, 2**40)), st.floats(0, 2e9))
def test_sealed_file_reads_back_whatever_it_counts(kept, dropped, started):
    manifest = MANIFEST.model_copy(
        update={"counts": Counts(asked=1, kept=kept, dropped=dropped), "started_at": started}
    )
    assert read(manifest.to_bytes()) == manifest


@given(st.integers(0, len(PAYLOAD) - 1))
def test_truncated_file_is_corrupt(length):
    with pytest.raises(CorruptData, match=r"ledger/000000\.json"):
        read(PAYLOAD[:length])


@given(st.integers(0, len(PAYLOAD) - 1), st.integers(1, 255))
def test_file_with_a_changed_byte_is_never_read_as_something_else(position, flip):
    damaged = bytearray(PAYLOAD)
    damaged[position] ^= flip
    try:
        assert read(bytes(damaged)) == MANIFEST
    except CorruptData as error:
        assert "ledger/000000.json" in str(error)
    except NewerSchema:
        assert b'"format": 1' not in bytes(damaged)


def test_edited_file_is_corrupt():
    with pytest.raises(CorruptData, match="digest does not match"):
        read(PAYLOAD.replace(b'"kept": 3', b'"kept": 4'))


def test_newer_format_asks_for_the_newer_version():
    with pytest.raises(NewerSchema, match=f"in format {NEWER}, this version reads up to {OURS}"):
        read(resealed(format=NEWER, something_new=True))


def test_older_format_asks_for_the_older_version():
    with pytest.raises(EnvironmentMismatch, match=f"written in format 1, .* reads format {OURS}"):
        read(resealed(format=1, something_old=True))


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"null",
        b"[]",
        b"3",
        b"{}",
        b'{"digest": "x"}',
        b'{"digest": "x", "format": NaN}',
        b"\xff\xfe",
        b"[" * 100_000,
    ],
    ids=lambda payload: repr(payload[:20]),
)
def test_other_files_are_corrupt(payload):
    with pytest.raises(CorruptData, match="not a sealed JSON file"):
        read(payload)


@pytest.mark.parametrize("changes", [{"frontier": -1}, {"wave": None}, {"unknown": 1}])
def test_unexpected_content_is_corrupt(changes):
    with pytest.raises(CorruptData, match="unexpected content"):
        read(resealed(**changes))
