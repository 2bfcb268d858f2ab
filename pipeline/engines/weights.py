"""The content identity of a model's weights, without reading all of them."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from pipeline.engines.model_files import LocalFiles, ModelFiles
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
    return files_digest(LocalFiles(model_directory(location)), adapter, code=code)


def files_digest(files: ModelFiles, adapter: str | None = None, *, code: bool = False) -> str:
    """The same of a model whose files lie elsewhere, of which little more than the headers is
    read."""
    hasher = hashlib.blake2b(digest_size=32)
    names = files.names()
    for name in ("config.json", INDEX):
        _update(hasher, name, _read_if_there(files, names, name))
    weights = _weights_files(files, names)
    num_blocks = max(FEWEST_BLOCKS, NUM_BLOCKS // len(weights))
    for name in weights:
        for part in _parts(files, name, num_blocks):
            _update(hasher, name, part)
    for name in [name for name in names if name.endswith(".py")] if code else ():
        _update(hasher, name, _whole(files, name))
    if adapter is not None:
        _update_with_adapter(hasher, adapter)
    return hasher.hexdigest()


def _update_with_adapter(hasher: "hashlib.blake2b", location: str) -> None:
    config = read_adapter_config(location)
    # Where the base model lay when the adapter was trained, which may be anywhere by now.
    config.pop("base_model_name_or_path", None)
    _update(hasher, ADAPTER_CONFIG, json.dumps(config, sort_keys=True).encode())
    files = LocalFiles(adapter_directory(location))
    for part in _parts(files, ADAPTER_WEIGHTS, NUM_BLOCKS):
        _update(hasher, ADAPTER_WEIGHTS, part)


def read_adapter_config(location: str) -> dict[str, Any]:
    """What PEFT says of an adapter."""
    files = LocalFiles(adapter_directory(location))
    return _read_json(_whole(files, ADAPTER_CONFIG), files, ADAPTER_CONFIG)


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


def _whole(files: ModelFiles, name: str) -> bytes:
    return files.read(name, [(0, files.size(name))])[0]


def _read_if_there(files: ModelFiles, names: Sequence[str], name: str) -> bytes:
    if name in names:
        return _whole(files, name)
    if name == "config.json":
        raise ModelError(
            f"{files.location}: found no {name}; expected the directory of a model, with "
            "config.json and *.safetensors."
        )
    return b""


def _weights_files(files: ModelFiles, names: Sequence[str]) -> list[str]:
    if INDEX in names:
        found = _named_in_index(files)
    else:
        found = [name for name in names if name.endswith(".safetensors")]
    if not found:
        raise ModelError(
            f"{files.location}: found no *.safetensors file; expected the model's weights in that "
            "form. Save the model with save_pretrained, or download its safetensors files."
        )
    missing = [name for name in found if name not in names]
    if missing:
        raise ModelError(
            f"{files.location}: {len(missing)} of {len(found)} weights files that {INDEX} names "
            f"are not there, {missing[0]} among them; download the model again."
        )
    return found


def _named_in_index(files: ModelFiles) -> list[str]:
    """Files beside the index, and nowhere else."""
    named = _read_json(_whole(files, INDEX), files, INDEX).get("weight_map")
    names = list(named.values()) if isinstance(named, dict) else []
    beside = {name for name in names if isinstance(name, str) and Path(name).name == name}
    if not names or len(beside) < len(set(map(repr, names))):
        raise _broken(files, INDEX)
    return sorted(beside)


class Layout(NamedTuple):
    """Where things lie in a weights file."""

    header: bytes
    num_bytes: int
    tensors: list[tuple[int, int]]
    """Begin and end of each tensor, in the file, in order."""


def _parts(files: ModelFiles, name: str, num_blocks: int) -> Iterator[bytes]:
    """What identifies one weights file."""
    layout = _layout(files, name)
    yield layout.header
    yield str(layout.num_bytes).encode()
    yield from files.read(name, _blocks(layout, num_blocks))


def _layout(files: ModelFiles, name: str) -> Layout:
    num_bytes = files.size(name)
    (length,) = files.read(name, [(0, min(8, num_bytes))])
    header_bytes = int.from_bytes(length, "little")
    start = 8 + header_bytes
    if header_bytes > MAX_HEADER_BYTES or start > num_bytes:
        raise _broken(files, name)
    (header,) = files.read(name, [(8, start)])
    entries = _read_json(header, files, name)
    try:
        spans = [entry["data_offsets"] for name, entry in entries.items() if name != "__metadata__"]
        tensors = sorted((start + begin, start + end) for begin, end in spans)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise _broken(files, name) from error
    inside = (start <= begin <= end <= num_bytes for begin, end in tensors)
    if not all(type(place) is int for span in tensors for place in span) or not all(inside):
        raise _broken(files, name)
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


def _read_json(payload: bytes, files: ModelFiles, name: str) -> dict[str, Any]:
    try:
        found = json.loads(payload)
    except (ValueError, RecursionError) as error:
        raise _broken(files, name) from error
    if not isinstance(found, dict):
        raise _broken(files, name)
    return found


def _broken(files: ModelFiles, name: str) -> ModelError:
    return ModelError(
        f"{files.location}/{name}: broken or cut short (its header does not fit its "
        f"{files.size(name)} bytes); download the model again."
    )
