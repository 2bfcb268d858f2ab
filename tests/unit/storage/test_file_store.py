import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pipeline.storage.file_store import FileStore
from pipeline.storage.open import prove_create
from schemas.errors import AlreadyExists, LocationError, StoreError

MEMORY_DISK = Path("/dev/shm")

WRITER = """
import sys
from pipeline.storage.file_store import FileStore
store = FileStore(sys.argv[1])
for number in range(10**9):
    store.create(f"nodes/{number}", bytes([number % 256]) * 300_000)
    print(number, flush=True)
"""


def files_below(root: Path) -> list[str]:
    return sorted(p.relative_to(root).as_posix() for p in root.rglob("*") if p.is_file())


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_create_leaves_no_temporary_file(tmp_path: Path) -> None:
    store = FileStore(tmp_path)
    store.create("nodes/a", b"first")
    with pytest.raises(AlreadyExists):
        store.create("nodes/a", b"second")
    assert files_below(tmp_path) == ["nodes/a"]


def test_create_that_breaks_off_leaves_nothing_and_says_why(tmp_path: Path) -> None:
    store = FileStore(tmp_path)
    with largest_file(100_000), pytest.raises(StoreError, match=r"nodes/a: cannot create: File"):
        store.create("nodes/a", bytes(200_000))
    assert files_below(tmp_path) == []
    store.create("nodes/a", b"room again")


def test_objects_of_a_killed_writer_are_whole(tmp_path: Path) -> None:
    command = [sys.executable, "-c", WRITER, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        for _ in range(5):
            assert writer.stdout.readline()
        writer.send_signal(signal.SIGKILL)
        done = 5 + len(writer.stdout.readlines())
    store = FileStore(tmp_path)
    names = store.list("")
    assert {f"nodes/{number}" for number in range(done)} <= set(names)
    for name in names:
        number = int(name.removeprefix("nodes/"))
        assert store.read(name) == bytes([number % 256]) * 300_000


def test_list_leaves_hidden_and_unfinished_files_out(tmp_path: Path) -> None:
    store = FileStore(tmp_path)
    store.create("nodes/a", b"x")
    for stray in (".tmp/half", "nodes/.nfs0001", ".cache/b"):
        (tmp_path / stray).parent.mkdir(exist_ok=True)
        (tmp_path / stray).write_bytes(b"stray")
    assert store.list("") == ["nodes/a"]
    assert store.folders() == ["nodes"]


def test_create_below_a_file_is_an_error_and_no_location(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    store = FileStore(tmp_path / "file" / "runs")
    with pytest.raises(StoreError, match="cannot create"):
        store.create("run.json", b"x")
    with pytest.raises(LocationError, match="cannot be used as a location"):
        prove_create(store, "a")
    assert store.list("") == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_create_without_permission_is_a_location_error(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(LocationError, match="permissions"):
        FileStore(tmp_path).create("run.json", b"x")


@pytest.mark.skipif(not MEMORY_DISK.is_dir(), reason="needs a second filesystem")
def test_create_where_no_link_can_be_made_is_a_location_error(tmp_path: Path) -> None:
    if MEMORY_DISK.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("needs a second filesystem")
    (tmp_path / "nodes").symlink_to(MEMORY_DISK)
    with pytest.raises(LocationError, match="hard links"):
        FileStore(tmp_path).create("nodes/arborist-test", b"x")
    assert files_below(tmp_path / ".tmp") == []
