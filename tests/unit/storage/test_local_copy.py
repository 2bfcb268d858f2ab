"""Models in a store: what is read of them, and copies that are made once on a machine."""

import json
import multiprocessing
import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from pipeline.engines.weights import files_digest, weights_digest
from pipeline.storage.local_copy import local_copy
from pipeline.storage.model_folder import ModelFolder
from schemas.errors import ModelError, StoreError
from tests.processes import until
from tests.s3_server import Asked, Wire, new_location, s3_server, wire_to

BIG = 17 << 20
"""Bytes of weights: more than a digest reads of them."""


@pytest.fixture(scope="module")
def wire() -> Iterator[Wire]:
    with (
        s3_server() as endpoint,
        wire_to(endpoint) as (url, wire),
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setenv("AWS_ENDPOINT_URL", url)
        yield wire


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model with everything that such folders hold."""
    folder = tmp_path_factory.mktemp("source")
    (folder / "extra").mkdir(parents=True)
    (folder / "config.json").write_text('{"model_type": "llama"}')
    (folder / "tokenizer.json").write_text("{}")
    (folder / "code.py").write_text("x = 1")
    (folder / "extra" / "template.jinja").write_text("{{ x }}")
    (folder / "pytorch_model.bin").write_bytes(b"the same weights again")
    (folder / "extra" / "model.safetensors").write_bytes(b"and again")
    values = np.random.default_rng(0).bytes(BIG)
    header = {"w": {"dtype": "U8", "shape": [BIG], "data_offsets": [0, BIG]}}
    spelled = json.dumps(header).encode()
    payload = len(spelled).to_bytes(8, "little") + spelled + values
    (folder / "model.safetensors").write_bytes(payload)
    return folder


WANTED = {
    *("config.json", "tokenizer.json", "code.py", "extra/template.jinja", "model.safetensors"),
}


@pytest.fixture(scope="module")
def stored(folder: Path, wire: Wire) -> str:
    location = new_location()
    upload(folder, location)
    return f"{location}/tiny"


@pytest.fixture
def uri(stored: str, wire: Wire) -> str:
    wire.clear()
    return stored


@pytest.fixture
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Several to a file of weights."""
    monkeypatch.setattr("pipeline.storage.local_copy.MOST_BYTES", 4 << 20)


def upload(folder: Path, location: str) -> None:
    import s3fs

    fs = s3fs.S3FileSystem(skip_instance_cache=True)
    for name in files_in(folder):
        fs.put_file(str(folder / name), f"{location}/tiny/{name}")


def files_in(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def gets_of(wire: Wire, monkeypatch: pytest.MonkeyPatch, name: str) -> list[Asked]:
    """What is asked from now on of a file."""
    asked: list[Asked] = []

    def fate(one: Asked) -> str:
        if one.verb == "GET" and one.path.endswith(f"/{name}"):
            asked.append(one)
        return "deliver"

    monkeypatch.setattr(wire, "fate", fate)
    return asked


@pytest.mark.parametrize("code", [False, True])
def test_digest_of_a_model_in_a_store_is_that_of_its_directory(folder, uri, code):
    assert files_digest(ModelFolder(uri), code=code) == weights_digest(str(folder), code=code)


def test_copy_holds_what_a_model_is_loaded_from(folder, uri, tmp_path, small_pieces):
    copy = local_copy(ModelFolder(uri), tmp_path / "cache")
    assert files_in(copy) == WANTED
    assert all((copy / name).read_bytes() == (folder / name).read_bytes() for name in WANTED)
    assert copy.name.startswith("tiny-")


def test_copy_without_weights_asks_for_none(uri, wire, monkeypatch, tmp_path):
    asked = gets_of(wire, monkeypatch, "model.safetensors")
    copy = local_copy(ModelFolder(uri), tmp_path / "cache", weights=False)
    assert files_in(copy) == WANTED - {"model.safetensors"}
    assert not asked


def test_copy_is_made_once_and_serves_those_who_want_no_weights(uri, wire, monkeypatch, tmp_path):
    copy = local_copy(ModelFolder(uri), tmp_path / "cache")
    asked = gets_of(wire, monkeypatch, "")
    wire.seen.clear()
    assert local_copy(ModelFolder(uri), tmp_path / "cache") == copy
    assert local_copy(ModelFolder(uri), tmp_path / "cache", weights=False) == copy
    assert not asked
    assert set(wire.seen) == {"LIST"}


def test_copy_that_was_cleaned_up_in_part_is_made_anew(folder, uri, tmp_path):
    copy = local_copy(ModelFolder(uri), tmp_path / "cache")
    (copy / "tokenizer.json").unlink()
    assert files_in(local_copy(ModelFolder(uri), tmp_path / "cache")) == WANTED


def test_model_that_changed_in_its_store_is_another_copy(wire, tmp_path):
    folder, location = tmp_path / "source", new_location()
    folder.mkdir()
    (folder / "config.json").write_text('{"model_type": "llama"}')
    upload(folder, location)
    uri = f"{location}/tiny"
    before = local_copy(ModelFolder(uri), tmp_path / "cache", weights=False)
    (folder / "config.json").write_text('{"model_type": "qwen2"}')
    upload(folder, location)
    after = local_copy(ModelFolder(uri), tmp_path / "cache", weights=False)
    assert before != after
    assert "qwen2" in (after / "config.json").read_text()


def test_copy_that_is_found_bad_is_found_by_nobody(uri, tmp_path):
    def check(copy: Path) -> None:
        assert files_in(copy) == WANTED
        raise StoreError("bad")

    with pytest.raises(StoreError, match="bad"):
        local_copy(ModelFolder(uri), tmp_path / "cache", check=check)
    assert not [path for path in (tmp_path / "cache" / "models").iterdir() if path.is_dir()]
    local_copy(ModelFolder(uri), tmp_path / "cache")


def test_folder_that_is_empty_is_no_model(wire, tmp_path):
    with pytest.raises(ModelError, match="found nothing there"):
        local_copy(ModelFolder(new_location()), tmp_path / "cache")


def test_disk_without_room_is_told_before_anything_is_copied(uri, wire, monkeypatch, tmp_path):
    usage = shutil.disk_usage(tmp_path)._replace(free=BIG)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    asked = gets_of(wire, monkeypatch, "config.json")
    with pytest.raises(StoreError, match=r"execution\.cache"):
        local_copy(ModelFolder(uri), tmp_path / "cache")
    assert not asked


def copy_in_process(uri: str, cache: Path) -> None:
    local_copy(ModelFolder(uri), cache)


def test_engines_of_one_machine_make_one_copy_together(uri, wire, monkeypatch, tmp_path):
    asked = gets_of(wire, monkeypatch, "config.json")
    spawn = multiprocessing.get_context("spawn")
    processes = [
        spawn.Process(target=copy_in_process, args=(uri, tmp_path / "cache")) for _ in range(3)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
    assert [process.exitcode for process in processes] == [0] * 3
    assert len(asked) == 1
    (copy,) = [path for path in (tmp_path / "cache" / "models").iterdir() if path.is_dir()]
    assert files_in(copy) == WANTED


def test_copy_goes_on_after_one_who_was_killed(uri, wire, monkeypatch, tmp_path):
    """From the files that were finished; the weights, at which it was killed, come last but one."""
    asked = gets_of(wire, monkeypatch, "code.py")
    seen = wire.fate

    def fate(one: Asked) -> str:
        slow = one.verb == "GET" and one.path.endswith("/model.safetensors") and one.again < 3
        return "503 after 1" if slow else seen(one)

    monkeypatch.setattr(wire, "fate", fate)
    process = multiprocessing.get_context("spawn").Process(
        target=copy_in_process, args=(uri, tmp_path / "cache")
    )
    process.start()
    models = tmp_path / "cache" / "models"
    until(lambda: list(models.glob(".tiny-*.part/model.safetensors.part")), 60)
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join(10)
    monkeypatch.setattr(wire, "fate", seen)
    assert files_in(local_copy(ModelFolder(uri), tmp_path / "cache")) == WANTED
    assert len(asked) == 1


def test_parts_of_a_file_are_what_was_asked_for_in_any_order(folder, uri):
    spans = [(9 << 20, (9 << 20) + 5), (0, 8), (7, 7), (8, 4096), (12 << 20, 16 << 20), (3, 9)]
    payload = (folder / "model.safetensors").read_bytes()
    found = ModelFolder(uri).read("model.safetensors", spans)
    assert found == [payload[begin:end] for begin, end in spans]


def test_digest_of_large_weights_reads_a_small_part_of_them():
    """Far apart lies what is read of them: of these 64 GiB it is samples."""
    size = 64 << 30
    header = json.dumps({"w": {"dtype": "U8", "shape": [size], "data_offsets": [0, size]}}).encode()
    start = len(header).to_bytes(8, "little") + header
    read = []

    class Huge:
        location = "nowhere"

        def names(self):
            return ["config.json", "model.safetensors"]

        def size(self, name):
            return 2 if name == "config.json" else len(start) + size

        def read(self, name, spans):
            read.extend(end - begin for begin, end in spans)
            return [start[begin:end].ljust(end - begin, b"0") for begin, end in spans]

    assert files_digest(Huge())
    assert sum(read) < 64 << 20
