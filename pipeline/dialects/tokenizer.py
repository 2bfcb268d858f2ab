"""Tokenizers from local directories: never a network, never code that a model brings along."""

import hashlib
import json
import reprlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from schemas.errors import ModelError
from schemas.fingerprint import digest
from schemas.records import Ids

_CONTENT = ("tokenizer.json", "tokenizer.model", "vocab.json", "merges.txt", "added_tokens.json")
_SETTINGS = ("tokenizer_config.json", "special_tokens_map.json")
_MOST_IDS = 2**31
_DECIDES_IDS = ("_token", "_tokens", "_tokens_decoder", "add_prefix_space", "legacy")
"""How the names of settings end that have a say in which ids a text becomes."""


class Tokenizer(Protocol):
    """What is used of the fast tokenizers of transformers."""

    name_or_path: str
    bos_token_id: int | None
    eos_token_id: int | None
    is_fast: bool

    @property
    def added_tokens_decoder(self) -> dict[int, Any]: ...
    @property
    def backend_tokenizer(self) -> Any: ...
    def __call__(self, text: str, **options: Any) -> dict[str, Any]: ...
    def decode(self, token_ids: list[int], **options: Any) -> str: ...
    def get_vocab(self) -> dict[str, int]: ...
    def get_chat_template(self) -> str: ...
    def apply_chat_template(self, conversation: list[dict[str, str]], **options: Any) -> Any: ...


def load_tokenizer(location: str) -> Tokenizer:
    """The fast tokenizer of a local model directory."""
    directory = _directory(location)
    tokenizer = _load(directory)
    if not tokenizer.is_fast:
        raise ModelError(
            f"The tokenizer in {directory} has no fast form, which is needed to see where the "
            "texts of a conversation start and end among its tokens. Expected a tokenizer.json "
            "beside the model's weights; transformers can often write one: "
            "AutoTokenizer.from_pretrained(DIR).save_pretrained(DIR)."
        )
    return tokenizer


def encode(tokenizer: Tokenizer, text: str) -> tuple[int, ...]:
    """The ids of a text of the run's own, which stands between markers."""
    return tuple(tokenizer(text, add_special_tokens=False)["input_ids"])


def decode(tokenizer: Tokenizer, ids: Sequence[int] | Ids) -> str:
    """The text of ids as it is, control tokens included."""
    return tokenizer.decode(
        [int(i) for i in ids], skip_special_tokens=False, clean_up_tokenization_spaces=False
    )


def tokenizer_digest(location: str) -> str:
    """SHA-256 over what decides how text becomes ids: vocabulary, merges, special tokens."""
    directory = _directory(location)
    total = hashlib.sha256()
    for name in _CONTENT + _SETTINGS:
        file = directory / name
        if file.is_file():
            content = _settings(file) if name in _SETTINGS else file.read_bytes()
            total.update(f"{name} {len(content)}\n".encode() + content)
    return total.hexdigest()


def template_digest(tokenizer: Tokenizer) -> str:
    """SHA-256 of the text of the chat template; empty where there is none."""
    try:
        template: str = tokenizer.get_chat_template()
    except ValueError:
        return ""
    return digest(template.encode())


def generation_eos_ids(location: str) -> tuple[int, ...]:
    """The ids that the model's generation_config.json names as the end of a text; () if none."""
    file = _directory(location) / "generation_config.json"
    return _token_ids(file, _content(file), "eos_token_id")


def declared_bos_ids(location: str) -> tuple[int, ...]:
    """What config.json, then generation_config.json, name as the beginning of a text."""
    directory = _directory(location)
    found: list[int] = []
    for file in (directory / "config.json", directory / "generation_config.json"):
        content = _content(file)
        # Where a model also sees or hears, its texts have a part of their own.
        for part in (content, content.get("text_config")):
            if not isinstance(part, dict):
                continue
            found += _token_ids(file, part, "bos_token_id")
    return tuple(dict.fromkeys(found))


def _token_ids(file: Path, content: dict[str, Any], key: str) -> tuple[int, ...]:
    found = content.get(key)
    if found is None:
        return ()
    ids = found if isinstance(found, list) else [found]
    if not all(type(i) is int and 0 <= i < _MOST_IDS for i in ids):
        raise ModelError(
            f"{key} in {file} is {reprlib.repr(found)}; expected a token id or a list of them."
        )
    return tuple(ids)


def _content(file: Path) -> dict[str, Any]:
    return _read_json(file) if file.is_file() else {}


def _directory(location: str) -> Path:
    try:
        directory = Path(location.removeprefix("file://")).expanduser()
        there = directory.is_dir()
    except (RuntimeError, ValueError, OSError) as error:
        raise ModelError(f"{location!r} is no directory: {error}.") from error
    if not there:
        raise ModelError(
            f"There is no model directory at {location}. Expected a local directory with the "
            "weights, the tokenizer and, where it chats, the template of one model. Nothing is "
            "ever downloaded from here; fetch the model first, for example with "
            "`hf download NAME --local-dir DIR`, and give that directory."
        )
    return directory


def _load(directory: Path) -> Tokenizer:
    from transformers import AutoTokenizer

    try:
        tokenizer: Tokenizer = AutoTokenizer.from_pretrained(
            directory, local_files_only=True, trust_remote_code=False
        )
    # What a broken or missing file raises depends on the tokenizer's class and on the file; that of
    # Rust's is no Exception.
    except BaseException as error:
        if not (isinstance(error, Exception) or is_panic(error)):
            raise
        raise ModelError(
            f"No tokenizer could be loaded from {directory}: {_first_line(error)} Expected "
            "tokenizer.json and tokenizer_config.json, complete, of a kind that the installed "
            "transformers knows without code of the model's own."
        ) from error
    return tokenizer


def is_panic(error: BaseException) -> bool:
    """Whether the Rust behind tokenizers gave up."""
    return type(error).__name__ == "PanicException"


def _first_line(error: BaseException) -> str:
    line = (str(error).strip().splitlines() or [type(error).__name__])[0].strip()
    return line if line.endswith(".") else f"{line}."


def _settings(file: Path) -> bytes:
    """The settings that touch the ids, spelled in one way."""
    kept = {k: v for k, v in _read_json(file).items() if k.endswith(_DECIDES_IDS)}
    return json.dumps(kept, sort_keys=True).encode()


def _read_json(file: Path) -> dict[str, Any]:
    try:
        content = json.loads(file.read_bytes())
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{file} is not JSON: {error}. Fetch the model again.") from error
    except OSError as error:
        raise ModelError(f"{file} cannot be read: {error.strerror}.") from error
    if not isinstance(content, dict):
        raise ModelError(f"{file} does not hold a JSON object. Fetch the model again.")
    return content
