"""The model that is trained, as its rows need to know it: by its directory, or a packaged name."""

import json
from pathlib import Path
from typing import Any

from jobs.prepare_model import packaged_location
from pipeline.sft.trainee import Trainee
from schemas.errors import ModelError

_LENGTHS = ("max_position_embeddings", "n_positions", "max_sequence_length", "seq_length")
_UNLIMITED = 2**31 - 1


def load_trainee(model: str) -> Trainee:
    """What is known of a model before its weights are loaded."""
    from pipeline.dialects.derive import derive_dialect
    from pipeline.dialects.tokenizer import generation_eos_ids, load_tokenizer
    from pipeline.engines.weights import model_directory, weights_digest

    folder = model_directory(packaged_location(model))
    _refuse_adapter(folder)
    location = str(folder)
    weights, context = weights_digest(location), _context(folder / "config.json")
    tokenizer = load_tokenizer(location)
    dialect = derive_dialect(tokenizer, eos_ids=generation_eos_ids(location))
    return Trainee(location, tokenizer, dialect, weights, context)


def _refuse_adapter(folder: Path) -> None:
    from pipeline.engines.weights import ADAPTER_CONFIG

    if (folder / ADAPTER_CONFIG).is_file() and not (folder / "config.json").is_file():
        base = _read_json(folder / ADAPTER_CONFIG).get("base_model_name_or_path") or "its base"
        raise ModelError(
            f"{folder}: holds a LoRA adapter, not a model that can be trained on. Merge it first: "
            f"load it with PEFT on {base}, call merge_and_unload(), save that with "
            "save_pretrained() together with the tokenizer, and name the new directory."
        )


def _context(file: Path) -> int:
    """How many tokens it takes at most, as its configuration says."""
    config = _read_json(file)
    texts = config.get("text_config")
    # Where a model also sees or hears, its texts have a part of their own.
    for part in (texts, config) if isinstance(texts, dict) else (config,):
        for name in _LENGTHS:
            if name in part:
                return _length(file, name, part[name])
    # Recurrent models, and some others, have no limit.
    return _UNLIMITED


def _length(file: Path, name: str, value: Any) -> int:
    if type(value) is not int or not 0 < value <= _UNLIMITED:
        raise ModelError(
            f"{file}: {name} is {value!r}; expected the number of tokens that the model takes at "
            "most. Fetch the model again."
        )
    return value


def _read_json(file: Path) -> dict[str, Any]:
    try:
        content = json.loads(file.read_bytes())
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{file}: is not JSON: {error}. Fetch the model again.") from error
    if not isinstance(content, dict):
        raise ModelError(f"{file}: does not hold a JSON object. Fetch the model again.")
    return content
