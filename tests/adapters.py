"""LoRA adapters as PEFT saves them, written by hand."""

import json
from pathlib import Path
from typing import Any

import numpy as np

RANK = 4


def write_adapter(
    folder: Path, *, num_layers: int = 2, hidden: int = 8, scale: float = 1.0, **config: Any
) -> Path:
    """An adapter of the query projections; with scale 0 it changes nothing."""
    from safetensors.numpy import save_file

    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    tensors = {}
    for layer in range(num_layers):
        name = f"base_model.model.model.layers.{layer}.self_attn.q_proj"
        down, up = rng.normal(size=(RANK, hidden)), rng.normal(size=(hidden, RANK))
        tensors[f"{name}.lora_A.weight"] = down.astype(np.float32)
        tensors[f"{name}.lora_B.weight"] = (up * scale).astype(np.float32)
    save_file(tensors, folder / "adapter_model.safetensors")
    settings = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": "somewhere",
        "r": RANK,
        "lora_alpha": 2 * RANK,
        "target_modules": ["q_proj"],
        "bias": "none",
    }
    (folder / "adapter_config.json").write_text(json.dumps(settings | config))
    return folder
