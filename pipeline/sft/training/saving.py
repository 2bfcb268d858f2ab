"""The final model as a directory that transformers and vLLM load, with the start's own spelling."""

import shutil
from pathlib import Path
from typing import Any

from transformers import AutoConfig

from pipeline.sft.model import load_model
from pipeline.sft.training.provenance import Provenance
from pipeline.sft.training.tuning import finished
from schemas.sft_spec import TuningSpec

_GENERATION = "generation_config.json"
_AS_IT_WAS = (
    *("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"),
    *("tokenizer.model", "vocab.json", "merges.txt"),
    *("chat_template.jinja", "chat_template.json", _GENERATION),
)
"""Files that training does not change, copied byte for byte: how a model spells is known by their
digests."""

_CHANGED = (
    *("bos_token_id", "eos_token_id", "pad_token_id"),
    *("output_router_logits", "router_aux_loss_coef"),
)


def save(model: Any, tuning: TuningSpec, start: Path, folder: Path, made: Provenance) -> None:
    """Whole or not at all."""
    partial = folder.with_name(f".{folder.name}.partial")
    for leftover in (partial, folder):
        shutil.rmtree(leftover, ignore_errors=True)
    _write(finished(model, tuning, str(start)), start, partial)
    made.write(partial)
    partial.replace(folder)


def merge_into(folder: Path, adapter: Path, start: Path) -> None:
    """The whole model of an adapter that was saved alone."""
    from peft import PeftModel

    shutil.rmtree(folder, ignore_errors=True)
    model = PeftModel.from_pretrained(load_model(str(start)), str(adapter))
    _write(model.merge_and_unload(), start, folder)


def _write(model: Any, start: Path, folder: Path) -> None:
    _take_back(model, start)
    model.save_pretrained(folder)
    # A draft of a model card, which an adapter is saved with.
    (folder / "README.md").unlink(missing_ok=True)
    for name in _AS_IT_WAS:
        if (start / name).is_file():
            shutil.copyfile(start / name, folder / name)
        elif name == _GENERATION:
            # What the trainer made of it may name other ends of a text than the start has.
            (folder / name).unlink(missing_ok=True)


def _take_back(model: Any, start: Path) -> None:
    """What the trainer changed of the model's configuration for its own ends."""
    before = AutoConfig.from_pretrained(start, local_files_only=True).get_text_config()
    now = model.config.get_text_config()
    for name in _CHANGED:
        if hasattr(before, name):
            setattr(now, name, getattr(before, name))
