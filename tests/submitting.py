"""Specs that are submitted, as files."""

from pathlib import Path
from typing import Any

import yaml

GENERATION: dict[str, Any] = {
    "recipe": "tg-sft",
    "seed": 3,
    "model": {"name": "any", "context": 4096},
    "roots": {"trees": 2, "topics": [{"text": "You are a cook."}, {"text": "You teach.\nWell."}]},
    "levels": [
        {"role": "user", "fanout": 3, "max_tokens": 400},
        {"role": "assistant", "fanout": 2, "max_tokens": 400},
    ],
    "curation": {"diversity": None},
}
SCRIPTED = {"backend": "scripted", "cpus": 0.1}


def write_spec(folder: Path, *, name: str = "cooking", **execution: Any) -> Path:
    """A small spec with scripted engines; `generation` replaces parts of that section."""
    generation = GENERATION | execution.pop("generation", {})
    asked = {"location": "s3://bucket/runs", "workers": 0, "engines": {"main": SCRIPTED}}
    file = folder / f"{name}.yaml"
    content = {"generation": generation, "execution": asked | execution}
    file.write_text(yaml.safe_dump(content, sort_keys=False), "utf-8")
    return file


def vllm(**settings: Any) -> dict[str, Any]:
    """A group of engines with GPUs."""
    return {"model": "/models/large", "cpus": 4, "gpus": 1, **settings}
