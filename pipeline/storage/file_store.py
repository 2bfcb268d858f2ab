"""Objects as files below a folder.

An object is written under a temporary name, made durable, and then linked to its final name: the
link fails if the name is taken, and a reader finds the whole object or none. This holds on local
disks and on network filesystems with hard links.
"""

import errno
import os
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from io import BufferedReader
from pathlib import Path

from pipeline.storage.names import check_folder, check_name
from schemas.errors import AlreadyExists, LocationError, NotFound, StoreError

TEMP = ".tmp"
"""Holds objects that are being written; listings never show it."""

_LEFT_S = 86_400.0
"""Writing an object takes no day: what is so old was left by a driver that was killed."""

_NO_LINKS = {errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EXDEV}
_NO_SYNC = {errno.EINVAL, errno.EOPNOTSUPP}
_NOT_ALLOWED = {errno.EACCES, errno.EPERM, errno.EROFS}
_LIMITED = {
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT), "Free some space, or have the quota raised,"),
    errno.EFBIG: "Raise the limit on the size of files (ulimit -f),",
    errno.EMFILE: "Raise the limit on open files (ulimit -n),",
    errno.ENFILE: "Let the machine open more files (fs.file-max),",
}
"""What to do where there is no more of something."""
_ABSENT = (FileNotFoundError, NotADirectoryError, IsADirectoryError)

Names = list[str]


class FileStore:
    """A store in a folder, which is made with the first object."""

    def __init__(self, root: str | Path) -> None:
        self._root = _absolute(root)
        self._swept = False

    @property
    def location(self) -> str:
        """The folder as a URI."""
        return f"file://{self._root}"

    def read(self, name: str) -> bytes:
        """All bytes of an object; `NotFound` if there is none."""
        path = self._path(name)
        with _explained("read", path):
            try:
                return path.read_bytes()
            except _ABSENT as error:
                raise NotFound(f"{path}: there is no such file.") from error

    def open(self, name: str) -> BufferedReader:
        """An object as a file to be read piece by piece; `NotFound` if there is none."""
        path = self._path(name)
        with _explained("read", path):
            try:
                return path.open("rb")
            except _ABSENT as error:
                raise NotFound(f"{path}: there is no such file.") from error

    def create(self, name: str, payload: bytes) -> None:
        """Make an object, whole and durable; `AlreadyExists` if it is there."""
        path = self._path(name)
        with _explained("create", path):
            temp = self._path_of(f"{TEMP}/{uuid.uuid4().hex}")
            _make_folder(temp.parent)
            self._sweep_once(temp.parent)
            try:
                _write_durably(temp, payload)
                _make_folder(path.parent)
                _link(temp, path)
            finally:
                temp.unlink(missing_ok=True)

    def _sweep_once(self, folder: Path) -> None:
        """Remove what killed drivers left half written."""
        if not self._swept:
            self._swept = True
            for temp in folder.iterdir():
                with suppress(FileNotFoundError):
                    if time.time() - temp.stat().st_mtime > _LEFT_S:
                        temp.unlink()

    def list(self, prefix: str) -> list[str]:
        """Names of all objects below a folder, sorted."""
        top = self._root / check_folder(prefix)
        with _explained("list", top):
            self._stay_inside(top)
            found = _walk(top, self._stay_inside)
            return sorted(path.relative_to(self._root).as_posix() for path in found)

    def folders(self) -> Names:
        """Names of the folders directly below the location, sorted."""
        with _explained("list", self._root):
            return _entries(self._root)[0]

    def delete(self, name: str) -> None:
        """Remove an object; no error if it is not there."""
        path = self._path(name)
        with _explained("delete", path):
            try:
                path.unlink()
                _sync_folder(path.parent)
            except (FileNotFoundError, NotADirectoryError):
                return

    def _path(self, name: str) -> Path:
        return self._path_of(check_name(name))

    def _path_of(self, name: str) -> Path:
        path = self._root / name
        self._stay_inside(path.parent)
        return path

    def _stay_inside(self, folder: Path) -> None:
        """A folder that is a link would let names escape; a link to a file may be read."""
        inner = (folder, *folder.parents)[: len(folder.parts) - len(self._root.parts)]
        with _explained("reach", folder):
            link = next((place for place in inner if place.is_symlink()), None)
        if link is not None:
            raise LocationError(
                f"{link}: is a link, so what lies behind it may be outside of {self._root}. Links "
                "to folders are not followed below a location; name the folder itself."
            )


def _absolute(root: str | Path) -> Path:
    try:
        if "\0" in str(root):
            raise ValueError("a path holds no NUL")
        return Path(root).expanduser().absolute()
    except (RuntimeError, ValueError, OSError) as error:
        raise LocationError(f"{str(root)!r}: is no path: {error}.") from error


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


def _walk(top: Path, check: Callable[[Path], None]) -> Iterator[Path]:
    folders, files = _entries(top)
    yield from (top / name for name in files)
    for folder in (top / name for name in folders):
        check(folder)
        yield from _walk(folder, check)


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
        if error.errno in _LIMITED:
            raise StoreError(
                f"{reason} {_LIMITED[error.errno]} and start the same command again; nothing that "
                "is committed is lost."
            ) from error
        raise StoreError(reason) from error
