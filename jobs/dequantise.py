"""From a GGUF file, which vLLM cannot load on a CPU, to an ordinary checkpoint."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from schemas.errors import EnvironmentMismatch, ModelError

Check = Callable[[Any, Path], None]
"""Of the tokenizer that a file holds: a ModelError where it is not the one expected."""


def dequantise(gguf: Path, folder: Path, check: Check, *, dtype: str, install: str) -> None:
    """Write weights as safetensors, config and tokenizer; `install` says where these come from."""
    try:
        _dequantise(gguf, folder, check, dtype)
    except ImportError as error:
        raise EnvironmentMismatch(f"{error}. Preparing the model needs it; {install}.") from error
    except ValueError as error:
        raise ModelError(
            f"{gguf}: cannot be read as a GGUF model: {error}. Take its package away and {install}."
        ) from error


def _dequantise(gguf: Path, folder: Path, check: Check, dtype: str) -> None:
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, GenerationConfig
    from transformers.modeling_gguf_pytorch_utils import load_gguf_checkpoint

    tokenizer = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
    if not tokenizer.is_fast:
        raise ModelError(f"{gguf}: expected a fast tokenizer, found {type(tokenizer).__name__}.")
    check(tokenizer, gguf)
    config = AutoConfig.from_pretrained(gguf.parent, gguf_file=gguf.name)
    if hasattr(config, "quantization_config"):
        del config.quantization_config
    model = AutoModelForCausalLM.from_config(config, dtype=getattr(torch, dtype))
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
