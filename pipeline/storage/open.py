"""From a location to a store, and the proof that the store keeps its promise there."""

import logging
from collections.abc import Mapping
from typing import Any

from pipeline.storage.file_store import FileStore
from pipeline.storage.object_store import FsspecStore
from pipeline.storage.runs import RUN_FILE
from pipeline.storage.settle import settle
from pipeline.storage.store import Store
from schemas.errors import AlreadyExists, LocationError, NotFound, StoreError, Unavailable

log = logging.getLogger(__name__)

_SHOWN = 10


def join(location: str, *parts: str) -> str:
    """The location of something below a location."""
    head = location if location.endswith("/") else f"{location}/"
    return head + "/".join(parts)


def open_store(
    location: str, storage_options: Mapping[str, Any] | None = None
) -> FileStore | FsspecStore:
    """The store at a path or URI. Touches nothing there."""
    scheme, divider, rest = location.partition("://")
    if not divider:
        return FileStore(location)
    if scheme != "file":
        return FsspecStore(location, storage_options)
    if not rest.startswith("/"):
        raise LocationError(f"{location}: expected an absolute path, as in file:///data/runs.")
    return FileStore(rest)


def beside(store: Store, location: str) -> FileStore | FsspecStore:
    """The store at another location, reached as this one is if it is of the same kind."""
    options = store.options if isinstance(store, FsspecStore) else None
    return open_store(location, options if same_scheme(store.location, location) else None)


def retries_of(store: Store) -> int:
    """How many operations on it were tried again; files are never."""
    return store.retries if isinstance(store, FsspecStore) else 0


def same_scheme(one: str, other: str) -> bool:
    """Whether two locations lie in the same kind of store."""
    return one.partition("://")[0] == other.partition("://")[0]


def prove_create(store: Store, attempt: str) -> None:
    """Show on the spot that the location can be written and that a second create is refused."""
    name, ours = f"proof/{attempt}", f"first of {attempt}".encode()
    try:
        _expect_ours(store, name, settle(store, name, ours), ours)
        _expect_refusal(store, name, f"second of {attempt}".encode())
        _expect_ours(store, name, store.read(name), ours)
    except Unavailable:
        raise
    except StoreError as error:
        raise LocationError(f"{store.location}: cannot be used as a location. {error}") from error
    _clean(store, name)


def _expect_ours(store: Store, name: str, found: bytes, ours: bytes) -> None:
    if found != ours:
        raise LocationError(
            f"{store.location}: {name} does not hold what was just written to it, so the store "
            "keeps no promise here; use another location."
        )


def _expect_refusal(store: Store, name: str, payload: bytes) -> None:
    try:
        store.create(name, payload)
    except AlreadyExists:
        return
    _clean(store, name)
    raise LocationError(
        f"{store.location}: a second create of the same object was not refused, so two drivers "
        "could overwrite each other. The store ignores the condition (If-None-Match on S3); use a "
        "store that honours it, or a shared filesystem."
    )


def _clean(store: Store, name: str) -> None:
    try:
        store.delete(name)
    except (StoreError, LocationError) as error:
        log.warning("%s: could not remove the proof of create: %s", store.location, error)


def runs_at(location: str, storage_options: Mapping[str, Any] | None = None) -> list[Store]:
    """The stores of the runs at a location or directly below it."""
    store = open_store(location, storage_options)
    if _holds_run(store):
        return [store]
    below = [open_store(join(location, folder), storage_options) for folder in store.folders()]
    return [candidate for candidate in below if _holds_run(candidate)]


def find_run(location: str, storage_options: Mapping[str, Any] | None = None) -> Store:
    """The store of the one run at a location or directly below it."""
    runs = runs_at(location, storage_options)
    if len(runs) == 1:
        return runs[0]
    folders = open_store(location, storage_options).folders()
    raise LocationError(_not_one(location, [run.location for run in runs], folders))


def _holds_run(store: Store) -> bool:
    try:
        store.read(RUN_FILE)
    except NotFound:
        return False
    return True


def _not_one(location: str, runs: list[str], folders: list[str]) -> str:
    if runs:
        return f"{location}: holds {len(runs)} runs, name one of them: {_some(runs)}"
    there = f"found the folders {_some(folders)}" if folders else "found nothing there"
    return f"{location}: expected a run ({RUN_FILE}) there or in one folder below it, {there}"


def _some(names: list[str]) -> str:
    more = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {more} more" if more > 0 else "") + "."
