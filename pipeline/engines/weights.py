"""The content identity of a model's weights, without reading all of them."""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from schemas.errors import ModelError

INDEX = "model.safetensors.index.json"
ADAPTER_CONFIG = "adapter_config.json"
ADAPTER_WEIGHTS = "adapter_model.safetensors"
NUM_BLOCKS = 4096
"""Sampled over all files of a model, twice: evenly over the bytes, and evenly over the tensors."""
FEWEST_BLOCKS = 32
"""In each file, however many files there are."""
BLOCK_BYTES = 4096
MAX_HEADER_BYTES = 100 << 20


def weights_digest(location: str, adapter: str | None = None, *, code: bool = False) -> str:
    """Digest of a model directory: config, index, and of each weights file its header, its length
    and sampled blocks of its content. The same of the adapter that it writes with, if any.

    Headers alone would not tell a fine-tuned checkpoint from its base, and reading everything
    takes minutes for a large model. Where the directory lies does not matter. With `code`, also of
    the code that the model brings along, where it shall be run.
    """
    folder = model_directory(location)
    hasher = hashlib.blake2b(digest_size=32)
    for name in ("config.json", INDEX):
        _update(hasher, name, _read_if_there(folder / name, needed=name == "config.json"))
    files = _weights_files(folder)
    num_blocks = max(FEWEST_BLOCKS, NUM_BLOCKS // len(files))
    for file in files:
        for part in _parts(file, num_blocks):
            _update(hasher, file.name, part)
    for file in sorted(folder.glob("*.py")) if code else ():
        _update(hasher, file.name, file.read_bytes())
    if adapter is not None:
        _update_with_adapter(hasher, adapter)
    return hasher.hexdigest()


def _update_with_adapter(hasher: "hashlib.blake2b", location: str) -> None:
    config = read_adapter_config(location)
    # Where the base model lay when the adapter was trained, which may be anywhere by now.
    config.pop("base_model_name_or_path", None)
    _update(hasher, ADAPTER_CONFIG, json.dumps(config, sort_keys=True).encode())
    for part in _parts(adapter_directory(location) / ADAPTER_WEIGHTS, NUM_BLOCKS):
        _update(hasher, ADAPTER_WEIGHTS, part)


def read_adapter_config(location: str) -> dict[str, Any]:
    """What PEFT says of an adapter."""
    file = adapter_directory(location) / ADAPTER_CONFIG
    return _read_json(file.read_bytes(), file)


def adapter_directory(location: str) -> Path:
    """The local directory that an adapter's location names, with both files that make one."""
    folder = _local(location)
    missing = [n for n in (ADAPTER_CONFIG, ADAPTER_WEIGHTS) if not (folder / n).is_file()]
    if missing:
        raise ModelError(
            f"{location}: found no {' and no '.join(missing)}; expected the directory of a LoRA "
            f"adapter with {ADAPTER_CONFIG} and {ADAPTER_WEIGHTS}, as PEFT's save_pretrained "
            "makes it, seen from this machine."
        )
    return folder


def model_directory(location: str) -> Path:
    """The local directory that a model's location names."""
    folder = _local(location)
    if not folder.is_dir():
        raise ModelError(
            f"{location}: no such directory; expected the directory of a model, with config.json "
            "and *.safetensors, seen from this machine. A model's name on a hub is not looked up: "
            "download it and give its directory."
        )
    return folder


def _local(location: str) -> Path:
    try:
        return Path(location.removeprefix("file://").replace("\0", "?")).expanduser()
    except RuntimeError as error:
        raise ModelError(f"{location}: is no directory: {error}.") from error


def _update(hasher: "hashlib.blake2b", name: str, part: bytes) -> None:
    hasher.update(f"{name} {len(part)} ".encode())
    hasher.update(part)


def _read_if_there(file: Path, *, needed: bool) -> bytes:
    if file.is_file():
        return file.read_bytes()
    if needed:
        raise ModelError(
            f"{file.parent}: found no {file.name}; expected the directory of a model, with "
            "config.json and *.safetensors."
        )
    return b""


def _weights_files(folder: Path) -> list[Path]:
    index = folder / INDEX
    if index.is_file():
        names = _named_in(index)
    else:
        names = sorted(file.name for file in folder.glob("*.safetensors"))
    if not names:
        raise ModelError(
            f"{folder}: found no *.safetensors file; expected the model's weights in that form. "
            "Save the model with save_pretrained, or download its safetensors files."
        )
    missing = [name for name in names if not (folder / name).is_file()]
    if missing:
        raise ModelError(
            f"{folder}: {len(missing)} of {len(names)} weights files that {INDEX} names are not "
            f"there, {missing[0]} among them; download the model again."
        )
    return [folder / name for name in names]


def _named_in(index: Path) -> list[str]:
    """Files beside the index, and nowhere else."""
    named = _read_json(index.read_bytes(), index).get("weight_map")
    names = list(named.values()) if isinstance(named, dict) else []
    beside = {name for name in names if isinstance(name, str) and Path(name).name == name}
    if not names or len(beside) < len(set(map(repr, names))):
        raise _broken(index)
    return sorted(beside)


class Layout(NamedTuple):
    """Where things lie in a weights file."""

    header: bytes
    num_bytes: int
    tensors: list[tuple[int, int]]
    """Begin and end of each tensor, in the file, in order."""


def _parts(file: Path, num_blocks: int) -> Iterator[bytes]:
    """What identifies one weights file."""
    with file.open("rb") as stream:
        layout = _layout(stream, file)
        yield layout.header
        yield str(layout.num_bytes).encode()
        for begin, end in _blocks(layout, num_blocks):
            stream.seek(begin)
            yield stream.read(end - begin)


def _layout(stream: BinaryIO, file: Path) -> Layout:
    num_bytes = file.stat().st_size
    header_bytes = int.from_bytes(stream.read(8), "little")
    start = 8 + header_bytes
    if header_bytes > MAX_HEADER_BYTES or start > num_bytes:
        raise _broken(file)
    header = stream.read(header_bytes)
    entries = _read_json(header, file)
    try:
        spans = [entry["data_offsets"] for name, entry in entries.items() if name != "__metadata__"]
        tensors = sorted((start + begin, start + end) for begin, end in spans)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise _broken(file) from error
    inside = (start <= begin <= end <= num_bytes for begin, end in tensors)
    if not all(type(place) is int for span in tensors for place in span) or not all(inside):
        raise _broken(file)
    return Layout(header, num_bytes, tensors)


def _blocks(layout: Layout, num_blocks: int) -> list[tuple[int, int]]:
    """Spans to read: everything if that is little, else samples over bytes and tensors."""
    start, end = 8 + len(layout.header), layout.num_bytes
    if end - start <= num_blocks * BLOCK_BYTES:
        return [(start, end)]
    last = end - BLOCK_BYTES
    evenly = [start + (last - start) * i // (num_blocks - 1) for i in range(num_blocks)]
    spans = {(begin, begin + BLOCK_BYTES) for begin in evenly}
    stride = -(-len(layout.tensors) // num_blocks)
    for begin, tensor_end in layout.tensors[:: max(1, stride)]:
        middle = (begin + tensor_end) // 2
        spans.add((middle, min(middle + BLOCK_BYTES, tensor_end)))
    return sorted(spans)


def _read_json(payload: bytes, file: Path) -> dict[str, Any]:
    try:
        found = json.loads(payload)
    except (ValueError, RecursionError) as error:
        raise _broken(file) from error
    if not isinstance(found, dict):
        raise _broken(file)
    return found


def _broken(file: Path) -> ModelError:
    return ModelError(
        f"{file}: broken or cut short (its header does not fit its {file.stat().st_size} bytes); "
        "download the model again."
    )
