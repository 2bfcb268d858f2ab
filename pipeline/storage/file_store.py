"""Objects as files below a folder.

An object is written under a temporary name, made durable, and then linked to its final name: the
link fails if the name is taken, and a reader finds the whole object or none. This holds on local
disks and on network filesystems with hard links.
"""

import errno
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path

from pipeline.storage.names import check_folder, check_name
from schemas.errors import AlreadyExists, LocationError, NotFound, StoreError

TEMP = ".tmp"
"""Holds objects that are being written; listings never show it."""

_NO_LINKS = {errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EXDEV}
_NO_SYNC = {errno.EINVAL, errno.EOPNOTSUPP}
_NOT_ALLOWED = {errno.EACCES, errno.EPERM, errno.EROFS}
_FULL = {errno.ENOSPC, errno.EDQUOT}
_ABSENT = (FileNotFoundError, NotADirectoryError, IsADirectoryError)

Names = list[str]


class FileStore:
    """A store in a folder, which is made with the first object."""

    def __init__(self, root: str | Path) -> None:
        self._root = Path(root).expanduser().absolute()

    @property
    def location(self) -> str:
        """The folder as a URI."""
        return f"file://{self._root}"

    def read(self, name: str) -> bytes:
        """All bytes of an object; `NotFound` if there is none."""
        path = self._root / check_name(name)
        with _explained("read", path):
            try:
                return path.read_bytes()
            except _ABSENT as error:
                raise NotFound(f"{path}: there is no such file.") from error

    def open(self, name: str) -> BufferedReader:
        """An object as a file to be read piece by piece; `NotFound` if there is none."""
        path = self._root / check_name(name)
        with _explained("read", path):
            try:
                return path.open("rb")
            except _ABSENT as error:
                raise NotFound(f"{path}: there is no such file.") from error

    def create(self, name: str, payload: bytes) -> None:
        """Make an object, whole and durable; `AlreadyExists` if it is there."""
        path = self._root / check_name(name)
        with _explained("create", path):
            temp = self._root / TEMP / uuid.uuid4().hex
            _make_folder(temp.parent)
            try:
                _write_durably(temp, payload)
                _make_folder(path.parent)
                _link(temp, path)
            finally:
                temp.unlink(missing_ok=True)

    def list(self, prefix: str) -> list[str]:
        """Names of all objects below a folder, sorted."""
        top = self._root / check_folder(prefix)
        with _explained("list", top):
            return sorted(path.relative_to(self._root).as_posix() for path in _walk(top))

    def folders(self) -> Names:
        """Names of the folders directly below the location, sorted."""
        with _explained("list", self._root):
            return _entries(self._root)[0]

    def delete(self, name: str) -> None:
        """Remove an object; no error if it is not there."""
        path = self._root / check_name(name)
        with _explained("delete", path):
            try:
                path.unlink()
                _sync_folder(path.parent)
            except (FileNotFoundError, NotADirectoryError):
                return


def _write_durably(path: Path, payload: bytes) -> None:
    with path.open("xb") as file:
        file.write(payload)
        file.flush()
        os.fsync(file.fileno())


def _link(temp: Path, path: Path) -> None:
    try:
        os.link(temp, path)
    except OSError as error:
        # A network filesystem may repeat a link whose answer was lost, and refuse the repetition.
        if temp.stat().st_nlink == 1:
            _refuse_link(path, error)
    finally:
        # Also for a winner that linked and has not come to this yet: the loser will rely on it.
        _sync_folder(path.parent)


def _refuse_link(path: Path, error: OSError) -> None:
    if error.errno == errno.EEXIST:
        raise AlreadyExists(f"{path}: the file exists.") from error
    if error.errno in _NO_LINKS:
        raise LocationError(
            f"{path.parent}: this filesystem has no hard links ({error.strerror}), without which "
            "files cannot be created atomically. Use a location on another filesystem or on an "
            "object store."
        ) from error
    raise error


def _make_folder(folder: Path) -> None:
    """Make it and what is missing above it, so that the names survive a power loss."""
    missing = [f for f in (folder, *folder.parents) if not f.is_dir()]
    for new in reversed(missing):
        new.mkdir(exist_ok=True)
        _sync_folder(new.parent)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        # Some network filesystems keep folders durable themselves and refuse to be asked.
        if error.errno not in _NO_SYNC:
            raise
    finally:
        os.close(descriptor)


def _walk(top: Path) -> Iterator[Path]:
    folders, files = _entries(top)
    yield from (top / name for name in files)
    for name in folders:
        yield from _walk(top / name)


def _entries(folder: Path) -> tuple[list[str], list[str]]:
    """Names of its folders and its files, sorted, hidden ones left out."""
    try:
        with os.scandir(folder) as scan:
            shown = [entry for entry in scan if not entry.name.startswith(".")]
    except (FileNotFoundError, NotADirectoryError):
        return [], []
    folders = sorted(entry.name for entry in shown if entry.is_dir())
    return folders, sorted(entry.name for entry in shown if not entry.is_dir())


@contextmanager
def _explained(verb: str, path: Path) -> Iterator[None]:
    """Turn what the system reports into errors for people."""
    try:
        yield
    except OSError as error:
        reason = f"{path}: cannot {verb}: {error.strerror or error}."
        if error.errno in _NOT_ALLOWED:
            raise LocationError(
                f"{reason} Mend the permissions, or name another location."
            ) from error
        if error.errno in _FULL:
            raise StoreError(
                f"{reason} Free some space and start the same command again; nothing is lost."
            ) from error
        raise StoreError(reason) from error
