"""What a loaded vLLM engine is, and how it turns ids into text."""

from typing import TYPE_CHECKING, Any

from pipeline.engines.distribution import InstalledVllm
from pipeline.engines.trim import Decode
from schemas.records import EngineReport, Ids

if TYPE_CHECKING:
    from vllm.v1.engine.llm_engine import LLMEngine


def engine_report(engine: "LLMEngine", installed: InstalledVllm, weights: str) -> EngineReport:
    """What manifests record of an engine."""
    import torch

    return EngineReport(
        backend="vllm",
        backend_version=f"{installed.distribution} {installed.version}",
        weights=weights,
        device=device_name(engine.vllm_config.parallel_config.world_size),
        dtype=str(engine.model_config.dtype).removeprefix("torch."),
        torch=torch.__version__,
        sampler=_sampler(engine.vllm_config),
    )


def decoder(tokenizer: Any) -> Decode:
    """Ids to text, exactly: control tokens spelled out, nothing tidied up."""

    def decode(token_ids: Ids) -> str:
        text: str = tokenizer.decode(
            token_ids.tolist(), skip_special_tokens=False, clean_up_tokenization_spaces=False
        )
        return text

    return decode


def device_name(world_size: int) -> str:
    """The devices of an engine, as manifests name them."""
    import torch
    from vllm.platforms import current_platform

    if current_platform.is_cpu():
        return f"cpu {torch.backends.cpu.get_cpu_capability()}"
    name: str = current_platform.get_device_name()
    return name if world_size == 1 else f"{world_size} x {name}"


def _sampler(vllm_config: Any) -> str:
    """The model runner, because seeds mean other texts to another one."""
    return "model runner v2" if vllm_config.use_v2_model_runner else "model runner v1"
