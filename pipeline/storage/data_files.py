"""The files that a location names: one file, a pattern, or a folder as data sets come in.

A folder is one that `datasets` saved (`state.json` names its files), or any other that holds
files of one kind. Splits are never mixed: a folder with more than one is refused.
"""

import json
import re
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any, NamedTuple

from pipeline.storage.file_store import FileStore
from pipeline.storage.names import is_shown
from pipeline.storage.object_store import FsspecStore
from pipeline.storage.open import join, open_store
from schemas.errors import LocationError, NotFound, SpecError

KINDS = (".jsonl", ".json", ".parquet", ".arrow", ".txt")
PACKED = ".gz"
"""May follow a kind of text."""

_STATE = "state.json"
_ABOUT = {"state.json", "dataset_info.json", "dataset_infos.json", "dataset_dict.json"}
_ABOUT |= {"export.json"}
_ABOUT_STEMS = {"readme", "license", "licence", "notice", "changelog", "citation", "requirements"}
_SPLITS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("test", "testing", "eval", "evaluation"), "test"),
    **dict.fromkeys(("validation", "valid", "val", "dev"), "validation"),
}
_SHOWN = 10


class DataFile(NamedTuple):
    """One file of records."""

    store: FileStore | FsspecStore
    name: str

    @property
    def location(self) -> str:
        """Where it lies."""
        return join(self.store.location, self.name)

    @property
    def base_name(self) -> str:
        """What people call it."""
        return self.name.rpartition("/")[2]


def kind_of(name: str) -> str | None:
    """How the name of a file tells to read it; None if it does not."""
    plain = name.removesuffix(PACKED)
    found = next((kind for kind in KINDS if plain.endswith(kind)), None)
    return None if plain != name and found in (".parquet", ".arrow") else found


def find_files(location: str, storage_options: Mapping[str, Any] | None = None) -> list[DataFile]:
    """The files at a location in order of their names; there is at least one."""
    try:
        return _find(location, storage_options)
    except (LocationError, NotFound) as error:
        raise SpecError(f"{location} cannot be read: {error}") from error


def _find(location: str, storage_options: Mapping[str, Any] | None) -> list[DataFile]:
    if "*" in location:
        return _matching(location, storage_options)
    above, name = _cut(location)
    file = DataFile(open_store(above, storage_options), name)
    if is_shown(name) and _is_file(file):
        if kind_of(name) is None:
            raise SpecError(f"{location} is not of a known kind; {_expected()}.")
        return [file]
    store = open_store(location, storage_options)
    names = store.list("")
    if not names:
        raise SpecError(f"{location} cannot be read: there is no such file, and no such folder.")
    found = _saved(location, store, names) or _loose(location, names)
    return [DataFile(store, name) for name in found]


def _cut(location: str) -> tuple[str, str]:
    """The folder that a file lies in, and its name there."""
    scheme, divider, rest = location.rpartition("://")
    above, slash, name = rest.rpartition("/")
    return f"{scheme}{divider}{above or slash or ('' if divider else '.')}", name


def _is_file(file: DataFile) -> bool:
    try:
        file.store.open(file.name).close()
    except NotFound:
        return False
    return True


def _matching(location: str, storage_options: Mapping[str, Any] | None) -> list[DataFile]:
    """Stars stand for any characters within one part of the name."""
    above, name = _cut(location[: location.index("*")])
    pattern = name + location[location.index("*") :]
    store = open_store(above, storage_options)
    found = [
        shown
        for shown in store.list("")
        if fnmatchcase(shown, pattern) and shown.count("/") == pattern.count("/")
    ]
    if not found or any(kind_of(shown) is None for shown in found):
        raise SpecError(f"{location}: stands for {_some(found)}; {_expected()}.")
    return [DataFile(store, shown) for shown in found]


def _saved(location: str, store: FileStore | FsspecStore, names: Sequence[str]) -> list[str]:
    """The files of a data set that `datasets` saved, in its order; none for another folder."""
    within = sorted(
        name.removesuffix(f"/{_STATE}") for name in names if name.endswith(f"/{_STATE}")
    )
    if _STATE in names:
        return _listed(store.read(_STATE))
    if within:
        raise SpecError(
            f"{location}: found the saved data sets {_some(within)}; expected one. "
            f"Name one of them, such as {join(location, within[0])}."
        )
    return []


def _listed(state: bytes) -> list[str]:
    try:
        found = [entry["filename"] for entry in json.loads(state)["_data_files"]]
    except (ValueError, KeyError, TypeError, RecursionError):
        return []
    return [name for name in found if isinstance(name, str)]


def _loose(location: str, names: Sequence[str]) -> list[str]:
    found = [name for name in names if kind_of(name) is not None and not _is_about(name)]
    kinds = sorted({str(kind_of(name)) for name in found})
    if len(kinds) != 1:
        raise SpecError(
            f"{location}: found {_some(kinds or names)}; {_expected()}, all in the same."
        )
    _refuse_splits(location, found)
    return found


def _is_about(name: str) -> bool:
    """Whether it tells about a data set rather than being a part of it."""
    base = name.rpartition("/")[2].lower()
    return base in _ABOUT or base.partition(".")[0] in _ABOUT_STEMS


def _refuse_splits(location: str, names: Sequence[str]) -> None:
    split_of = {name: split for name in names if (split := _split_of(name)) is not None}
    splits = sorted(set(split_of.values()))
    if len(splits) > 1:
        first = next(iter(split_of))
        raise SpecError(
            f"{location}: holds the splits {', '.join(splits)}; expected one. Name the files of "
            f"one, such as {join(location, first)}, where a star may stand for any characters."
        )


def _split_of(name: str) -> str | None:
    """The first of its words that is the name of a split."""
    words = re.split(r"[/._\s-]+", name.lower())
    return next((_SPLITS[word] for word in words if word in _SPLITS), None)


def _expected() -> str:
    return f"expected files that end in one of {', '.join(KINDS)}"


def _some(names: Sequence[str]) -> str:
    more = len(names) - _SHOWN
    shown = ", ".join(names[:_SHOWN]) or "nothing"
    return f"{shown} and {more} more" if more > 0 else shown
