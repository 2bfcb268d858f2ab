"""Objects in whatever fsspec reaches, with one conditional request for a create.

`memory://` lives in this process and is shared by all stores of it. On S3 a create is a PUT with
If-None-Match. An answer may get lost: the request that is repeated is then refused because of
ourselves, so after an unsure try the bytes that are there are compared with ours.
"""

import contextlib
import logging
import threading
from collections.abc import Callable, Mapping
from io import BufferedReader
from typing import Any, NamedTuple, TypeVar

from pipeline.storage.backend_errors import (
    NO_BUCKET,
    code_of,
    explain,
    is_transient,
    retry_after,
    told,
)
from pipeline.storage.names import check_folder, check_name, is_shown
from pipeline.storage.ranged_file import buffered
from pipeline.storage.retry import Retry
from schemas.errors import AlreadyExists, LocationError, StoreError
from schemas.secrets import BELONG, holds_secret, redacted

log = logging.getLogger(__name__)

T = TypeVar("T")
Names = list[str]
Entries = list[dict[str, Any]]
Errors = list[Exception]

S3 = {"s3", "s3a"}

_S3_WHOLE = 5 << 30
"""Bytes from which S3 takes an object in parts only. Not every store that honours a condition for a
whole object honours it for the end of an upload in parts, so there are no such uploads."""

_EXTRAS = {
    **dict.fromkeys(("s3", "s3a"), ("S3", "s3")),
    **dict.fromkeys(("gs", "gcs"), ("Google Cloud Storage", "gs")),
    **dict.fromkeys(("az", "abfs", "abfss"), ("Azure Blob Storage", "az")),
}
"""What a scheme stands for, and the extra that brings it."""

_QUIET_TRIES = 2
"""Routine on any large store."""

_memory = threading.Lock()
"""memory:// looks for a name and writes it in two steps."""


_MARKS = ("ETag", "etag", "md5Hash", "generation", "LastModified", "mtime", "created")
"""What stores call that which is another when the content is; the first that there is."""


class Facts(NamedTuple):
    """What a listing tells of an object."""

    size: int
    mark: str
    """Another where the content is another; empty where the store has none."""


class FsspecStore:
    """A store at a URI that fsspec knows."""

    def __init__(
        self, uri: str, storage_options: Mapping[str, Any] | None = None, retry: Retry | None = None
    ) -> None:
        self._uri, self.options = uri, dict(storage_options or {})
        self._scheme = uri.partition("://")[0]
        self._retry = retry or Retry()
        self.retries = 0
        """Operations that were tried again, in all."""
        self._guard = _memory if self._scheme == "memory" else contextlib.nullcontext()
        self._fs, path = _open_filesystem(uri, self._scheme, self.options)
        self._base = path.rstrip("/")
        self._how_to_put: dict[str, Any] = {"mode": "create"}
        if self._scheme in S3:
            self._how_to_put["chunksize"] = _S3_WHOLE

    def __reduce__(self) -> tuple[type["FsspecStore"], tuple[Any, ...]]:
        """Opened anew wherever it is unpacked."""
        return FsspecStore, (self._uri, self.options, self._retry)

    @property
    def location(self) -> str:
        """The URI this store is rooted at."""
        return self._uri

    def read(self, name: str) -> bytes:
        """All bytes of an object; `NotFound` if there is none."""
        path = self._path(check_name(name))
        payload: bytes = self._persist("read", path, lambda: self._fs.cat_file(path))
        return payload

    def open(self, name: str) -> BufferedReader:
        """An object as a file to be read piece by piece; `NotFound` if there is none."""
        path = self._path(check_name(name))
        size = self._persist("read", path, lambda: self._size(path))
        return buffered(size, lambda start, stop: self._range(path, start, stop))

    def create(self, name: str, payload: bytes) -> None:
        """Make an object, whole and durable; `AlreadyExists` if it is there."""
        path = self._path(check_name(name))
        if self._scheme in S3 and len(payload) >= _S3_WHOLE:
            raise _too_large(f"{self._uri}/{name}", len(payload))
        unsure: Errors = []
        try:
            self._persist("create", path, lambda: self._put(path, payload), unsure)
        except AlreadyExists:
            if not unsure or not self._holds(name, payload):
                raise

    def list(self, prefix: str) -> list[str]:
        """Names of all objects below a folder, sorted."""
        folder = self._path(check_folder(prefix))
        paths = self._persist("list", folder, lambda: self._find(folder))
        below = f"{folder}/"
        names = [p.removeprefix(f"{self._base}/") for p in paths if p.startswith(below)]
        return sorted(name for name in names if is_shown(name))

    def facts(self) -> dict[str, Facts]:
        """Of all objects, by name."""
        found = self._persist("list", self._base, lambda: self._find_facts())
        below = f"{self._base}/"
        named = {path.removeprefix(below): entry for path, entry in found.items()}
        return {
            name: Facts(int(entry["size"]), _mark_of(entry))
            for name, entry in sorted(named.items())
            if is_shown(name)
        }

    def read_range(self, name: str, start: int, stop: int) -> bytes:
        """A part of an object."""
        return self._range(self._path(check_name(name)), start, stop)

    def folders(self) -> Names:
        """Names of the folders directly below the location, sorted."""
        entries = self._persist("list", self._base, lambda: self._entries(self._base))
        paths = [e["name"].rstrip("/") for e in entries if e["type"] == "directory"]
        return sorted(name for p in paths if is_shown(name := p.rpartition("/")[2]))

    def delete(self, name: str) -> None:
        """Remove an object; no error if it is not there."""
        path = self._path(check_name(name))
        self._persist("delete", path, lambda: self._remove(path))

    def _path(self, name: str) -> str:
        return f"{self._base}/{name}" if name else self._base

    def _size(self, path: str) -> int:
        entry: dict[str, Any] = self._fs.info(path)
        if entry["type"] != "file":
            raise FileNotFoundError(path)
        return int(entry["size"])

    def _range(self, path: str, start: int, stop: int) -> bytes:
        payload: bytes = self._persist(
            "read", path, lambda: self._fs.cat_file(path, start=start, end=stop)
        )
        if len(payload) != stop - start:
            raise StoreError(f"{self._scheme}://{path.lstrip('/')}: changed while it was read.")
        return payload

    def _put(self, path: str, payload: bytes) -> None:
        self._fs.pipe_file(path, payload, **self._how_to_put)

    def _remove(self, path: str) -> None:
        with contextlib.suppress(FileNotFoundError):
            self._fs.rm_file(path)

    def _find(self, folder: str) -> Names:
        try:
            path, only = self._how_to_find(folder)
            found: Names = self._fs.find(path, **only)
        except FileNotFoundError as error:
            return _nothing_there(error)
        return found

    def _find_facts(self) -> dict[str, dict[str, Any]]:
        try:
            path, only = self._how_to_find(self._base)
            found: dict[str, dict[str, Any]] = self._fs.find(path, detail=True, **only)
        except FileNotFoundError as error:
            _nothing_there(error)
            return {}
        return {path: entry for path, entry in found.items() if path.startswith(f"{self._base}/")}

    def _how_to_find(self, folder: str) -> tuple[str, dict[str, str]]:
        """S3 is asked for a prefix: an empty folder would be asked about once more."""
        above, _, name = folder.rpartition("/")
        return (above, {"prefix": f"{name}/"}) if above and self._scheme in S3 else (folder, {})

    def _entries(self, folder: str) -> Entries:
        try:
            found: Entries = self._fs.ls(folder, detail=True)
        except FileNotFoundError as error:
            return _nothing_there(error)
        return found

    def _holds(self, name: str, payload: bytes) -> bool:
        try:
            return self.read(name) == payload
        except StoreError:
            return False

    def _persist(
        self,
        verb: str,
        path: str,
        operation: Callable[[], T],
        unsure: Errors | None = None,
    ) -> T:
        """Carry an operation out, again after passing troubles, which `unsure` collects."""
        where = redacted(f"{self._scheme}://{path.lstrip('/')}")
        for number, pause in enumerate((*self._retry.pauses(), None), start=1):
            try:
                with self._guard:
                    return operation()
            except Exception as error:  # Each backend raises types of its own.
                transient = is_transient(error)
                if transient and unsure is not None:
                    unsure.append(error)
                if pause is None or not transient:
                    raise explain(verb, where, error, number) from error
                level = logging.WARNING if number > _QUIET_TRIES else logging.INFO
                log.log(level, "cannot %s %s: %s; trying again", verb, where, told(error))
                self.retries += 1
                self._retry.wait(pause, retry_after(error))
        raise AssertionError("the last try returns or raises")


def _mark_of(entry: Mapping[str, Any]) -> str:
    return next((str(entry[key]) for key in _MARKS if entry.get(key)), "")


def _nothing_there(error: FileNotFoundError) -> list[Any]:
    """A folder without objects is no folder; a bucket has to be there."""
    if code_of(error) == NO_BUCKET:
        raise error
    return []


def _too_large(where: str, size: int) -> StoreError:
    return StoreError(
        f"{where}: found {size / (1 << 30):.1f} GiB, expected less than {_S3_WHOLE >> 30} GiB, "
        "which is all that S3 takes in one request. Make waves smaller "
        "(generation.bounds.candidates_per_wave, in a run of its own)."
    )


def _open_filesystem(uri: str, scheme: str, given: dict[str, Any]) -> tuple[Any, str]:
    import fsspec

    if holds_secret(uri):
        raise LocationError(f"{redacted(uri)}: found a secret in a location. {BELONG}.")
    options = {"skip_instance_cache": True, "use_listings_cache": False}
    options |= _s3_options(given) if scheme in S3 else given
    try:
        fs, path = fsspec.url_to_fs(uri, **options)
    except ImportError as error:
        raise LocationError(f"{uri}: {_missing_package(scheme, error)}") from error
    except Exception as error:
        raise LocationError(
            f"{uri}: cannot be opened: {redacted(str(error))}. Expected a path or one of file://, "
            "s3://, gs://, az://, memory://, and storage_options that its filesystem knows."
        ) from error
    if scheme in S3:
        fs.retries = 1
    return fs, path


def _s3_options(given: dict[str, Any]) -> dict[str, Any]:
    """One request a read, and one layer of retries: the one that knows what a repeat means."""
    once = {"retries": {"mode": "standard", "total_max_attempts": 1}}
    return {"max_concurrency": 1} | given | {"config_kwargs": once | given.get("config_kwargs", {})}


def _missing_package(scheme: str, error: ImportError) -> str:
    if scheme in _EXTRAS:
        name, extra = _EXTRAS[scheme]
        return f"{name} needs the extra `{extra}`; install it with: pip install 'arborist[{extra}]'"
    return f"a package for {scheme}:// is not installed: {error}"
