"""What an engine of a group will be told on this machine, and why: as `arborist probe` says it."""

from collections.abc import Mapping

from jobs.engine_cpus import share_of
from pipeline.engines import cpu_defaults, gpu_defaults
from pipeline.engines.cpu_defaults import Choice
from pipeline.engines.machine import Machine
from schemas.engine_group_spec import SLOTS, EngineGroupSpec

BY_SPEC = "the spec says so"
BY_VLLM = "by vLLM"


def choices(
    name: str, groups: Mapping[str, EngineGroupSpec], dtype: str, machine: Machine
) -> dict[str, Choice]:
    """By setting. Those of GPUs are argued from vLLM's sources, and were not measured."""
    group = groups[name]
    asked = {setting: Choice(value, f"{BY_SPEC} (args)") for setting, value in group.args.items()}
    if group.gpus:
        return _on_gpus(group, dtype) | asked
    return _on_cpus(group, groups, dtype, machine) | asked


def _on_cpus(
    group: EngineGroupSpec, groups: Mapping[str, EngineGroupSpec], dtype: str, machine: Machine
) -> dict[str, Choice]:
    cpus = _said(group.cpus, share_of(groups, machine))
    threads = cpu_defaults.threads_of_rank(cpus.value, group.ranks)
    return {
        "threads": Choice(threads, cpus.why),
        "dtype": cpu_defaults.dtype(machine.flags, dtype),
        "block_size": Choice(
            cpu_defaults.BLOCK_SIZE,
            "only whole blocks are shared between prompts, and vLLM's kernels are fast for "
            "multiples of 32; its own default is 128, longer than most turns",
        ),
        "kv_cache_gib": _said(group.kv_cache_gib, cpu_defaults.kv_cache_gib(machine, threads)),
        "max_num_seqs": _said(group.max_num_seqs, Choice(SLOTS, "vLLM's own for `LLM` on CPUs")),
        "max_num_batched_tokens": _said(
            group.max_num_batched_tokens,
            Choice(
                cpu_defaults.MAX_NUM_BATCHED_TOKENS,
                "or the context, where that is longer: prompts are taken in one piece, because "
                "vLLM cannot turn back a seed on a CPU",
            ),
        ),
        "enforce_eager": Choice(
            True,
            "compiling takes a C++ compiler and time at the start; where a run is long: `args: "
            "{enforce_eager: false}`",
        ),
        "core": Choice("in process", "a killed engine leaves nothing behind"),
        "binding": Choice("none", "several engines would be bound to the same cores"),
    }


def _on_gpus(group: EngineGroupSpec, dtype: str) -> dict[str, Choice]:
    sizes = gpu_defaults.sizes(group.max_num_seqs, group.max_num_batched_tokens, group.gpus)
    memory = gpu_defaults.memory(group.kv_cache_gib, group.gpus)
    by_gpu = "1024 and 16384 from 70 GiB of memory on (not an A100), else 256 and 8192"
    told = {
        "dtype": Choice(dtype, "the model's own, where it is `auto`"),
        **{
            name: _said(getattr(group, name), Choice(sizes.get(name, BY_VLLM), by_gpu))
            for name in ("max_num_seqs", "max_num_batched_tokens")
        },
        **{
            name: Choice(value, BY_SPEC if group.kv_cache_gib else "vLLM's own share")
            for name, value in memory.items()
        },
    }
    return told | {
        "block_size": Choice(BY_VLLM, "16: short turns share the most"),
        "cuda_graphs": Choice(BY_VLLM, "up to 512 sequences (Blackwell: 1024), compiled pieces"),
        "async_scheduling": Choice(BY_VLLM, "on: the next step is made ready during this one"),
        "prefix_caching_hash_algo": Choice(
            BY_VLLM, "sha256: 2 us a block, where xxhash takes 1 us and can be made to collide"
        ),
        "core": Choice("in process", "a killed engine leaves nothing behind"),
    }


def _said(asked: float | None, chosen: Choice) -> Choice:
    return chosen if asked is None else Choice(asked, BY_SPEC)
