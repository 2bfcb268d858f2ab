"""vLLM's own engine, loaded as a configuration says."""

from typing import TYPE_CHECKING, Any

from pipeline.engines.vllm_settings import VllmConfig, engine_args

if TYPE_CHECKING:
    from vllm.v1.engine.llm_engine import LLMEngine


def load_vllm(config: VllmConfig, seed: int) -> "LLMEngine":
    """The engine, once the environment is set (`set_environment`)."""
    from vllm.platforms import current_platform

    on_cpu = current_platform.is_cpu()
    args = engine_args(config, on_cpu=on_cpu, seed=seed)
    if on_cpu:
        _prepare_cpu(config.num_threads, compiles=not args["enforce_eager"])
    return _make_engine(args)


def _prepare_cpu(num_threads: int, *, compiles: bool) -> None:
    import torch
    import torch._dynamo

    # Here OMP_NUM_THREADS comes too late if torch is loaded already.
    if torch.get_num_threads() != num_threads:
        torch.set_num_threads(num_threads)
    # vLLM compiles a few functions even when it is told not to, which takes seconds, and fails
    # on a machine without a C++ compiler. They are marked for it when vLLM's modules are loaded.
    torch._dynamo.config.disable = not compiles


def _make_engine(args: dict[str, Any]) -> "LLMEngine":
    from vllm.engine.arg_utils import EngineArgs
    from vllm.usage.usage_lib import UsageContext
    from vllm.v1.engine.llm_engine import LLMEngine

    return LLMEngine.from_engine_args(EngineArgs(**args), usage_context=UsageContext.LLM_CLASS)
