"""A model from a store on this machine's disk, copied once for all who ask for it.

The copy is made below another name, file by file, and moved into place when it is whole and what
was asked to check it found it good; so who finds it may use it. A lock that ends with its holder's
process keeps others waiting meanwhile, and who comes after one that was killed goes on from the
files that were finished.
"""

import fcntl
import logging
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.storage.model_folder import MOST_BYTES, WEIGHTS, ModelFolder, with_many
from pipeline.storage.object_store import Facts
from schemas.errors import LocationError, StoreError

log = logging.getLogger(__name__)

_SMALL = "small"
"""Ends the names of copies without weights."""
_GIB = 1 << 30


def _good(folder: Path) -> None:
    """Nothing to check."""


def local_copy(
    model: ModelFolder,
    cache: Path,
    *,
    weights: bool = True,
    check: Callable[[Path], None] = _good,
) -> Path:
    """The directory of the copy; without `weights`, of one that has all other files at least.

    `check` looks at a new copy before anybody can find it, and raises if it is not good.
    """
    whole = cache / "models" / f"{model.base_name}-{model.mark}"
    if _is_whole(whole, model.facts):
        return whole
    wanted = model.facts
    if not weights:
        whole = whole.with_name(f"{whole.name}-{_SMALL}")
        wanted = {name: facts for name, facts in wanted.items() if not name.endswith(WEIGHTS)}
    with _explained(cache), _alone(whole):
        if not _is_whole(whole, wanted):
            _copy(model, wanted, whole, check)
    return whole


def _copy(
    model: ModelFolder, wanted: dict[str, Facts], whole: Path, check: Callable[[Path], None]
) -> None:
    half_made = whole.with_name(f".{whole.name}.part")
    half_made.mkdir(exist_ok=True)
    missing = [name for name in wanted if not _has_size(half_made / name, wanted[name].size)]
    size = sum(wanted[name].size for name in missing)
    _require_room(half_made, size)
    log.info("copying %.1f GiB from %s to %s", size / _GIB, model.location, whole)
    for name in missing:
        _copy_file(model, name, half_made / name)
    try:
        if not model.is_still():
            raise StoreError(
                f"{model.location}: changed while it was copied; start again when it is complete."
            )
        check(half_made)
    except BaseException:
        shutil.rmtree(half_made)
        raise
    _move_into_place(half_made, whole)


def _copy_file(model: ModelFolder, name: str, file: Path) -> None:
    """In pieces, many at once; it has its name when it is whole."""
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_name(f"{file.name}.part")
    size = model.size(name)
    with part.open("wb") as stream:
        stream.truncate(size)

        def copy_piece(start: int) -> None:
            payload = model.read_range(name, start, min(size, start + MOST_BYTES))
            os.pwrite(stream.fileno(), payload, start)

        with_many(copy_piece, range(0, size, MOST_BYTES))
        os.fsync(stream.fileno())
    part.rename(file)


def _is_whole(folder: Path, wanted: dict[str, Facts]) -> bool:
    """Whether every file is there still: caches are cleaned by people and by systems."""
    return all(_has_size(folder / name, facts.size) for name, facts in wanted.items())


def _has_size(file: Path, size: int) -> bool:
    return file.is_file() and file.stat().st_size == size


def _move_into_place(half_made: Path, whole: Path) -> None:
    if whole.exists():
        # What is left of a copy that was not whole any more; who has its files open keeps them.
        shutil.rmtree(whole)
    half_made.rename(whole)


def _require_room(folder: Path, size: int) -> None:
    free = shutil.disk_usage(folder).free
    if size > free:
        raise StoreError(
            f"{folder.parent}: the model takes {size / _GIB:.1f} GiB, but {free / _GIB:.1f} GiB "
            "are free on that disk. Free some, or name a folder on another one "
            "(execution.cache). Copies that no run needs any more may be deleted."
        )


@contextmanager
def _alone(whole: Path) -> Iterator[None]:
    """While nobody else on this machine makes the same copy."""
    whole.parent.mkdir(parents=True, exist_ok=True)
    with whole.with_name(f".{whole.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextmanager
def _explained(cache: Path) -> Iterator[None]:
    try:
        yield
    except PermissionError as error:
        raise LocationError(
            f"{cache}: cannot be written: {error.strerror}. Expected a folder of this machine "
            "that its user may write to (execution.cache)."
        ) from error
    except OSError as error:
        raise StoreError(
            f"{cache}: a model cannot be copied there: {error.strerror or error}. Expected a "
            "folder on a disk of this machine with room for it (execution.cache)."
        ) from error
