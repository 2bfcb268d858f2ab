import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.storage.file_store import FileStore
from pipeline.storage.object_store import FsspecStore
from pipeline.storage.open import find_run, join, open_store, prove_create
from schemas.errors import AlreadyExists, LocationError
from tests.faulty_store import FaultyStore


class Overwriting(FileStore):
    """Ignores the condition, as some clones of S3 do."""

    def create(self, name: str, payload: bytes) -> None:
        try:
            super().create(name, payload)
        except AlreadyExists:
            self.delete(name)
            super().create(name, payload)


class Forgetful(FileStore):
    """Creates under another name."""

    def create(self, name: str, payload: bytes) -> None:
        super().create(name, payload[:-1])


def run_python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)


@pytest.mark.parametrize(
    ("location", "joined"),
    [
        ("/data", "/data/r/nodes"),
        ("/data/", "/data/r/nodes"),
        ("/", "/r/nodes"),
        ("s3://bucket", "s3://bucket/r/nodes"),
        ("memory://", "memory://r/nodes"),
    ],
)
def test_join_divides_by_one_slash(location: str, joined: str) -> None:
    assert join(location, "r", "nodes") == joined


def test_open_store_takes_paths_and_uris(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    open_store("runs").create("a", b"x")
    for location in (f"{tmp_path}/runs", f"file://{tmp_path}/runs", f"{tmp_path}/runs/"):
        assert open_store(location).read("a") == b"x"
    assert open_store("runs").location == f"file://{tmp_path}/runs"
    assert isinstance(open_store("memory://x"), FsspecStore)


def test_open_store_touches_nothing(tmp_path: Path) -> None:
    assert open_store(f"{tmp_path}/runs").list("") == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("location", ["nowhere://x", "file://relative/x"])
def test_open_store_of_a_wrong_location_says_what_was_expected(location: str) -> None:
    with pytest.raises(LocationError, match="xpected"):
        open_store(location)


def test_open_store_without_the_package_names_the_extra() -> None:
    code = (
        "import sys; sys.modules['s3fs'] = None; from pipeline.storage.open import open_store; "
        "open_store('s3://bucket/runs')"
    )
    result = run_python(code)
    assert result.returncode == 1
    assert "LocationError" in result.stderr
    assert "arborist[s3]" in result.stderr


def test_prove_create_refuses_a_store_that_overwrites(tmp_path: Path) -> None:
    store = Overwriting(tmp_path)
    with pytest.raises(LocationError, match="second create"):
        prove_create(store, "a")
    assert store.list("") == []


def test_prove_create_refuses_a_store_that_changes_what_is_written(tmp_path: Path) -> None:
    with pytest.raises(LocationError, match="does not hold what was just written"):
        prove_create(Forgetful(tmp_path), "a")


@pytest.mark.parametrize("mode", ["before", "after"])
def test_prove_create_survives_one_failed_create(tmp_path: Path, mode: str) -> None:
    store = FaultyStore(FileStore(tmp_path), 1, mode)
    prove_create(store, "a")
    assert store.failed
    assert store.list("") == []


def test_find_run_at_the_location_or_in_its_one_run(tmp_path: Path) -> None:
    FileStore(tmp_path / "runs" / "r1").create("run.json", b"x")
    FileStore(tmp_path / "runs" / "notes").create("a.txt", b"x")
    expected = f"file://{tmp_path}/runs/r1"
    assert find_run(str(tmp_path / "runs")).location == expected
    assert find_run(str(tmp_path / "runs" / "r1")).location == expected


def test_find_run_in_an_object_store() -> None:
    open_store("memory://find-run/r1").create("run.json", b"x")
    open_store("memory://find-run/other/deep").create("run.json", b"x")
    found = find_run("memory://find-run")
    assert found.location == "memory://find-run/r1"
    assert found.read("run.json") == b"x"


def test_find_run_among_several_asks_for_one(tmp_path: Path) -> None:
    for name in ("r1", "r2"):
        FileStore(tmp_path / name).create("run.json", b"x")
    with pytest.raises(LocationError, match=r"holds 2 runs, name one of them: \S*r1, \S*r2"):
        find_run(str(tmp_path))


def test_find_run_without_one_lists_what_is_there(tmp_path: Path) -> None:
    with pytest.raises(LocationError, match="found nothing there"):
        find_run(str(tmp_path))
    for number in range(13):
        (tmp_path / f"d{number:02d}").mkdir()
    with pytest.raises(LocationError, match=r"d00, .*d09 and 3 more") as caught:
        find_run(str(tmp_path))
    assert "d10" not in str(caught.value)


def test_opening_a_file_store_loads_no_fsspec() -> None:
    code = (
        "import sys, pipeline.storage.open as o, pipeline.storage.ledger, pipeline.storage.reader,"
        "pipeline.storage.snapshots; o.open_store('/tmp'); sys.exit('fsspec' in sys.modules)"
    )
    assert run_python(code).returncode == 0
