import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from pipeline.storage.file_store import FileStore, _explained, _link
from pipeline.storage.open import prove_create
from schemas.errors import AlreadyExists, LocationError, StoreError

MEMORY_DISK = Path("/dev/shm")
FULL_DISK = Path("/dev/full")

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
    with (
        largest_file(100_000),
        pytest.raises(StoreError, match=r"nodes/a: cannot create: File .*ulimit -f"),
    ):
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


AS_NOBODY = """
import os, sys
os.chdir("/")
sys.path.insert(0, sys.argv[2])
from pipeline.storage.file_store import FileStore
from schemas.errors import LocationError
if os.geteuid() == 0:
    os.setuid(65534)
try:
    FileStore(sys.argv[1]).create("run.json", b"x")
except LocationError as error:
    print(error)
"""


def test_create_without_permission_is_a_location_error(tmp_path: Path) -> None:
    with TemporaryDirectory() as folder:
        Path(folder).chmod(0o555)
        command = [sys.executable, "-c", AS_NOBODY, folder, str(Path(__file__).parents[3])]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
        assert "Mend the permissions" in done.stdout


@pytest.mark.skipif(not FULL_DISK.exists(), reason="needs a device that is always full")
def test_full_disk_says_what_to_do() -> None:
    with (
        pytest.raises(StoreError, match="Free some space") as caught,
        _explained("create", FULL_DISK),
    ):
        FULL_DISK.write_bytes(b"x" * 100_000)
    assert caught.value.exit_code == 1, "a person has to free space before a next attempt"


def test_sweep_removes_only_what_was_left_long_ago(tmp_path: Path) -> None:
    FileStore(tmp_path).create("a", b"x")
    old, young = tmp_path / ".tmp" / "old", tmp_path / ".tmp" / "young"
    for temp in (old, young):
        temp.write_bytes(b"half an object")
    os.utime(old, (0, 0))
    FileStore(tmp_path).create("b", b"x")
    assert files_below(tmp_path) == [".tmp/young", "a", "b"]


@pytest.mark.skipif(not MEMORY_DISK.is_dir(), reason="needs a second filesystem")
def test_link_to_another_filesystem_is_a_location_error(tmp_path: Path) -> None:
    if MEMORY_DISK.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("needs a second filesystem")
    (tmp_path / "whole").write_bytes(b"x")
    with pytest.raises(LocationError, match="hard links"):
        _link(tmp_path / "whole", MEMORY_DISK / "arborist-test")


@pytest.mark.parametrize("linked", ["nodes", ".tmp", "nodes/deeper"])
def test_folder_that_is_a_link_leads_nowhere(tmp_path: Path, linked: str) -> None:
    outside, inside = tmp_path / "outside", tmp_path / "inside"
    (inside / linked).parent.mkdir(parents=True)
    (outside / "deeper").mkdir(parents=True)
    (outside / "x").write_bytes(b"theirs")
    (inside / linked).symlink_to(outside)
    store, names = FileStore(inside), ("nodes/x", "nodes/deeper/x")
    operations = [lambda name: store.create(name, b"ours")]
    if linked != ".tmp":
        operations += [store.delete, store.read, store.open]
    for operation in operations:
        with pytest.raises(LocationError, match="is a link"):
            operation(names[linked == "nodes/deeper"])
    if linked != ".tmp":
        with pytest.raises(LocationError, match="is a link"):
            store.list("nodes")
    assert files_below(outside) == ["x"]
    assert (outside / "x").read_bytes() == b"theirs"


def test_location_that_is_a_link_is_a_location(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "runs").symlink_to(tmp_path / "disk")
    store = FileStore(tmp_path / "runs")
    store.create("nodes/x", b"ours")
    assert store.list("") == ["nodes/x"]
    assert (tmp_path / "disk" / "nodes" / "x").read_bytes() == b"ours"
