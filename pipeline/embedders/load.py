"""Which embedder lies at a location, and the digest of its content."""

import hashlib
import json
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from pipeline.embedders import hashing, sentence, static
from pipeline.embedders.embedder import Embedder
from schemas.errors import ModelError

HASHING = "hashing"

_EXPECTED = (
    f"expected `{HASHING}`, or a directory as model2vec or sentence-transformers save it: "
    "modules.json, config.json, tokenizer.json, model.safetensors"
)
_PICKLED = {".bin", ".pt", ".pth", ".pkl", ".ckpt"}
_SETTINGS = {".json", ".txt", ".model"}
"""Suffixes of the files that say how a model's weights are used."""


def load_embedder(location: str) -> Embedder:
    """The embedder of a directory, or `hashing`."""
    check_embedder(location)
    if location == HASHING:
        return hashing.HashingEmbedder()
    folder = _directory(location)
    make = static.StaticEmbedder if _is_static(folder) else sentence.SentenceEmbedder
    try:
        return make(str(folder))
    except BaseException as error:
        # Broken files make the libraries raise all kinds of errors; that of Rust's is no Exception.
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        raise ModelError(
            f"{folder}: cannot be loaded as an embedder: {type(error).__name__}: {error}. It looks "
            "broken or cut short; make or download it again."
        ) from error


def check_embedder(location: str) -> None:
    """Refuse what is not there or incomplete, without loading it."""
    if location == HASHING:
        return
    folder = _directory(location)
    package = "model2vec" if _is_static(folder) else "sentence-transformers"
    if find_spec(package.replace("-", "_")) is None:
        raise ModelError(
            f"{folder}: found a model of {package}, which is not installed here. "
            f"Install it: pip install {package}."
        )


def embedder_digest(location: str) -> str:
    """What the vectors depend on: the way they are made, weights, tokenizer and config."""
    if location == HASHING:
        return hashing.VERSION
    folder = _directory(location)
    hasher = hashlib.sha256((static if _is_static(folder) else sentence).VERSION.encode())
    for file in sorted(_files(folder)):
        hasher.update(f" {file.relative_to(folder).as_posix()} {file.stat().st_size} ".encode())
        with file.open("rb") as stream:
            while block := stream.read(1 << 20):
                hasher.update(block)
    return hasher.hexdigest()


def _directory(location: str) -> Path:
    try:
        folder = Path(location.removeprefix("file://").replace("\0", "?")).expanduser()
    except RuntimeError as error:
        raise ModelError(f"{location}: is no directory: {error}.") from error
    if not folder.is_dir():
        found = "a file" if folder.exists() else "no such directory"
        raise ModelError(
            f"{location}: found {found}; {_EXPECTED}, seen from this machine. A model's name on a "
            "hub is not looked up: download it and give its directory."
        )
    return folder


def _is_static(folder: Path) -> bool:
    """Whether it is complete as a static model, or else as a sentence model; refuses others."""
    files = sorted(_files(folder))
    names = {file.name for file in files}
    config = _read_json(folder / "config.json")
    is_static = isinstance(config, dict) and config.get("model_type") == "model2vec"
    missing = {"tokenizer.json"} - names if is_static else {"modules.json"} - names
    _refuse_code(folder)
    if not any(file.suffix == ".safetensors" for file in files):
        missing.add("weights (*.safetensors)")
    if missing:
        found = ", ".join(file.name for file in files[:8]) or "nothing of a model"
        raise ModelError(
            f"{folder}: found {found}; no {' and no '.join(sorted(missing))}; {_EXPECTED}."
        )
    return is_static


def _read_json(file: Path) -> Any:
    if not file.is_file():
        return None
    try:
        return json.loads(file.read_bytes())
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{file}: not JSON: {error}; make or download the model again.") from error


def _files(folder: Path) -> Iterator[Path]:
    """The files that matter: of the model itself and of each of its modules."""
    paths = {str(module.get("path", "")) for module in _modules(folder)}
    for place in sorted({folder, *(folder / path for path in paths)}):
        if not _is_inside(folder, place):
            raise ModelError(
                f"{folder}/modules.json: leads to {str(place)[:300]!r}; expected a folder of the "
                "model."
            )
        files = [file for file in place.glob("*") if file.is_file()]
        yield from (file for file in files if file.suffix in _SETTINGS | {".safetensors"})
        pickled = [file for file in files if file.suffix in _PICKLED]
        if pickled and not any(file.suffix == ".safetensors" for file in files):
            raise ModelError(
                f"{pickled[0]}: holds weights as a pickle, which is a program; expected "
                "*.safetensors. Save the model again with safe_serialization."
            )


def _is_inside(folder: Path, place: Path) -> bool:
    try:
        return place.resolve(strict=place.exists()).is_relative_to(folder.resolve())
    except (OSError, ValueError):
        return False


def _modules(folder: Path) -> list[dict[str, Any]]:
    found = _read_json(folder / "modules.json") or []
    modules = found if isinstance(found, list) else [found]
    return [module for module in modules if isinstance(module, dict)]


def _refuse_code(folder: Path) -> None:
    """Modules are named by classes; those of others would be code that the model brings along."""
    for module in _modules(folder):
        named = str(module.get("type", ""))
        if not named.startswith("sentence_transformers."):
            raise ModelError(
                f"{folder}/modules.json: found a module of type {named[:100]}, expected types of "
                "sentence_transformers only: code that a model brings along is never run."
            )
