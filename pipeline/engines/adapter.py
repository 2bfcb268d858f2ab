"""A LoRA adapter as PEFT saves it, which a model may write with."""

from typing import TYPE_CHECKING, Any

from pipeline.engines.weights import ADAPTER_CONFIG, adapter_directory, read_adapter_config
from schemas.errors import ModelError

if TYPE_CHECKING:
    from vllm.lora.request import LoRARequest

VLLM_RANKS = (1, 8, 16, 32, 64, 128, 256, 320, 512)
"""The ranks that vLLM keeps room for."""


def adapter_args(location: str) -> dict[str, Any]:
    """Arguments of vLLM's EngineArgs for the one adapter that every request uses."""
    return {"enable_lora": True, "max_loras": 1, "max_lora_rank": _room_for(location)}


def lora_request(location: str) -> "LoRARequest":
    """The adapter in vLLM's words."""
    from vllm.lora.request import LoRARequest

    return LoRARequest("adapter", 1, str(adapter_directory(location)))


def _room_for(location: str) -> int:
    rank = _rank(location)
    room = next((size for size in VLLM_RANKS if size >= rank), None)
    if room is None:
        raise ModelError(
            f"{location}: the adapter has rank {rank}; vLLM takes ranks up to {VLLM_RANKS[-1]}. "
            "Merge it into the model's weights, and give that directory as the model."
        )
    return room


def _rank(location: str) -> int:
    """The highest of its ranks."""
    config = read_adapter_config(location)
    pattern = config.get("rank_pattern") or {}
    found = [config.get("r"), *(pattern.values() if isinstance(pattern, dict) else [None])]
    ranks = [rank for rank in found if type(rank) is int and rank > 0]
    if len(ranks) < len(found):
        raise ModelError(
            f"{location}/{ADAPTER_CONFIG}: found r: {config.get('r')!r} and rank_pattern: "
            f"{config.get('rank_pattern')!r}; expected whole numbers from 1, as PEFT writes them."
        )
    return max(ranks)
