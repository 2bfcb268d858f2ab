"""What a vLLM engine is told: from our configuration to vLLM's environment and arguments."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pipeline.engines import cpu_defaults, gpu_defaults
from pipeline.engines.adapter import adapter_args
from pipeline.engines.cpu_defaults import GIB
from pipeline.engines.machine import this_machine
from pipeline.engines.weights import model_directory
from schemas.engine_group_spec import SLOTS
from schemas.errors import EnvironmentMismatch, SpecError

WORKER_EXTENSION = "pipeline.engines.vllm_worker.EndsWithItsEngine"
COMPILED = {
    "VLLM_CACHE_ROOT": "vllm",
    "TORCHINDUCTOR_CACHE_DIR": "inductor",
    "TRITON_CACHE_DIR": "triton",
    "FLASHINFER_WORKSPACE_BASE": "flashinfer",
    "CUDA_CACHE_PATH": "cuda",
}
"""Where the libraries look for what they compiled before, and the folder for each."""


@dataclass(frozen=True, kw_only=True)
class VllmConfig:
    """One vLLM engine."""

    model: str
    """Location of the model's directory."""
    adapter: str | None = None
    """Location of the directory of a LoRA adapter that it writes with."""
    context: int
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    quantization: str | None = None
    max_num_seqs: int | None = None
    max_num_batched_tokens: int | None = None
    kv_cache_gib: float | None = None
    """None of these: what is right for the device (`cpu_defaults`, `gpu_defaults`)."""
    cpus: float = 1
    gpus: float = 0
    tensor_parallel: int = 1
    pipeline_parallel: int = 1
    apart: bool = False
    """Whether the parts that compute it are Ray actors, which may lie on several nodes: else they
    are processes beside this one."""
    guarantee: Literal["none", "seeded", "batch-invariant"] = "seeded"
    top_logprobs: int = 0
    """The most that a request may ask for."""
    cache: str | None = None
    """A folder on this machine's disk for what is compiled; None leaves it to vLLM."""
    log_level: str | None = None
    """Of vLLM's own logging. None: WARNING, or ERROR on a CPU, where it warns of every tensor."""
    args: Mapping[str, Any] = field(default_factory=dict)
    """Further arguments of vLLM's EngineArgs. They win over what is chosen here."""

    @property
    def num_threads(self) -> int:
        """Threads that compute on a CPU, in each of its processes."""
        return cpu_defaults.threads_of_rank(self.cpus, self.ranks)

    @property
    def ranks(self) -> int:
        """Processes that compute it."""
        return self.tensor_parallel * self.pipeline_parallel

    @property
    def executor(self) -> Literal["uni", "mp", "ray"]:
        """What vLLM calls the way in which its processes are held."""
        if self.ranks == 1:
            return "uni"
        return "ray" if self.apart else "mp"


def set_environment(config: VllmConfig) -> None:
    """Set the environment variables that vLLM reads when it is first imported."""
    # A person's own choice wins.
    log_level = config.log_level or ("WARNING" if config.gpus else "ERROR")
    os.environ.setdefault("VLLM_LOGGING_LEVEL", log_level)
    os.environ.setdefault("VLLM_NO_USAGE_STATS", "1")
    # The core runs in this process: a killed engine leaves no process behind on the device.
    os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] = "0"
    # Its workers are made by a process with threads, and must not begin as a copy of it.
    os.environ["VLLM_WORKER_MULTIPROC_METHOD"] = "spawn"
    # Several engines on a host would otherwise be bound to the same cores.
    os.environ["VLLM_CPU_OMP_THREADS_BIND"] = "nobind"
    if config.gpus == 0:
        os.environ["OMP_NUM_THREADS"] = str(config.num_threads)
    if config.guarantee == "batch-invariant":
        os.environ["VLLM_BATCH_INVARIANT"] = "1"
    if config.cache is not None:
        for name, folder in COMPILED.items():
            os.environ.setdefault(name, str(Path(config.cache) / folder))


def engine_args(config: VllmConfig, *, on_cpu: bool, seed: int) -> dict[str, Any]:
    """Arguments of vLLM's EngineArgs."""
    chosen: dict[str, Any] = {
        "model": str(model_directory(config.model)),
        "max_model_len": config.context,
        "dtype": config.dtype,
        "quantization": config.quantization,
        "enable_prefix_caching": True,
        "tensor_parallel_size": config.tensor_parallel,
        "pipeline_parallel_size": config.pipeline_parallel,
        "distributed_executor_backend": config.executor,
        "seed": seed,
        # What is stored is what the model believes, before temperature and truncation.
        "logprobs_mode": "raw_logprobs",
        "max_logprobs": config.top_logprobs,
        "disable_log_stats": True,
        "use_tqdm_on_load": False,
    }
    if config.executor == "mp":
        chosen["worker_extension_cls"] = WORKER_EXTENSION
    chosen |= _cpu_args(config) if on_cpu else _gpu_args(config)
    if config.adapter is not None:
        chosen |= adapter_args(config.adapter)
    return chosen | dict(config.args)


def _cpu_args(config: VllmConfig) -> dict[str, Any]:
    if config.guarantee == "batch-invariant":
        raise EnvironmentMismatch(
            "generation.guarantee: vLLM has no batch-invariant kernels for CPUs; expected "
            "`seeded` or `none` on a machine without a GPU."
        )
    if config.gpus:
        raise EnvironmentMismatch(
            f"execution.engines: asked for {config.gpus:g} GPUs an engine, but the installed vLLM "
            "found none on this machine; expected gpus: 0, or vllm for CUDA on a machine with one."
        )
    machine = this_machine()
    kv_gib = config.kv_cache_gib or cpu_defaults.kv_cache_gib(machine, config.num_threads).value
    seqs = config.max_num_seqs or SLOTS
    batched = config.max_num_batched_tokens or cpu_defaults.MAX_NUM_BATCHED_TOKENS
    return {
        "dtype": cpu_defaults.dtype(machine.flags, config.dtype).value,
        "block_size": cpu_defaults.BLOCK_SIZE,
        "kv_cache_memory_bytes": int(kv_gib * GIB),
        "enforce_eager": True,
        # A prompt in two pieces with a seed of its own ends the engine: after the first piece vLLM
        # turns the seed's generator back, which that of a CPU cannot do.
        "enable_chunked_prefill": False,
        "max_num_seqs": seqs,
        "max_num_batched_tokens": max(batched, seqs, config.context),
    }


def _gpu_args(config: VllmConfig) -> dict[str, Any]:
    if config.gpus > 1 and config.gpus != int(config.gpus):
        raise SpecError(
            f"execution.engines: found gpus: {config.gpus:g}; expected a whole number of GPUs "
            "an engine, or a share below 1."
        )
    return gpu_defaults.sizes(config.max_num_seqs, config.max_num_batched_tokens, config.gpus) | (
        gpu_defaults.memory(config.kv_cache_gib, config.gpus)
    )
