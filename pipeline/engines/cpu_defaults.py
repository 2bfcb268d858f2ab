"""What is right for an engine on the CPUs that are there, and why: rules, each with its reason."""

import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

from pipeline.engines.machine import Machine

GIB = 1 << 30
BLOCK_SIZE = 32
"""Only whole blocks are shared between prompts, and vLLM's default of 128 on CPUs is longer than
most turns. Its CPU kernels are fast for multiples of 32."""
BF16_FLAGS = frozenset({"avx512_bf16", "amx_bf16", "bf16"})
"""As Linux names them, on x86 and ARM."""
MAX_NUM_BATCHED_TOKENS = 8192

_SPARE_FROM = 4
"""Cores from which on one is left to the driver and to those who measure what engines write."""
_KV_SHARE = 1 / 8
_KV_GIB = (1.0, 16.0)
_ALLOCATORS = ("libtcmalloc_minimal.so*", "libtcmalloc.so*")
_LIBRARIES = ("/usr/lib", "/usr/lib64", "/usr/local/lib")


class Choice(NamedTuple):
    """A setting and its reason."""

    value: Any
    why: str


def threads(machine: Machine, engines: int = 1, booked: float = 0) -> Choice:
    """Of each of so many engines, beside others that have booked so many CPUs."""
    spare = 1 if machine.usable >= _SPARE_FROM else 0
    free = max(1, int(machine.usable - spare - booked))
    even = max(1, free // max(1, engines))
    node = max(machine.nodes, default=even)
    why = f"{machine.usable} cores can be used"
    if machine.quota is not None and machine.quota < machine.cores:
        why += f" (the control group grants {machine.quota:g} of {machine.cores})"
    why += f", {spare} of them left to the driver and those who measure" * bool(spare)
    why += f", {booked:g} booked by other groups" * bool(booked)
    why += f", shared by {engines} engines" * (engines > 1)
    if node < even:
        why += (
            f"; but a NUMA node has {node}, and threads wait for the memory of another one: for "
            f"all cores take {free // node} engines"
        )
    return Choice(min(even, node), why)


def threads_of_rank(cpus: float, ranks: int) -> int:
    """Of each process, where several compute one engine."""
    return max(1, int(cpus / ranks))


def dtype(flags: frozenset[str], asked: str = "auto") -> Choice:
    """The data type: bfloat16 where the CPU computes in it, or it is twice as slow.

    vLLM's own `auto` is bfloat16 on every CPU.
    """
    if asked != "auto":
        return Choice(asked, "the spec says so (generation.model.dtype)")
    if found := sorted(BF16_FLAGS & flags):
        return Choice("bfloat16", f"the CPU multiplies in it ({', '.join(found)})")
    return Choice("float32", "the CPU has no instructions for bfloat16, which takes twice as long")


def kv_cache_gib(machine: Machine, num_threads: int) -> Choice:
    """Memory for the KV cache of an engine with so many threads."""
    share = min(1.0, num_threads / machine.usable)
    least, most = _KV_GIB
    wanted = min(most, max(least, machine.memory / GIB * _KV_SHARE * share))
    found = max(least, min(wanted, machine.available / GIB / 2))
    why = (
        f"an eighth of {machine.memory / GIB:.0f} GiB, for {num_threads} of {machine.usable} "
        f"cores; from {least:g} to {most:g} GiB, and at most half of what is free"
    )
    return Choice(round(found, 2), why)


# Libraries that are loaded before all others, which only whoever starts the process can do.


def openmp_library() -> str | None:
    """Intel's OpenMP, which vLLM for CPUs brings along on x86."""
    found = Path(sys.prefix) / "lib" / "libiomp5.so"
    return str(found) if found.exists() else None


def allocator_library() -> str | None:
    """An allocator for many threads: vLLM's own copy, or the system's."""
    return next(map(str, _allocators()), None)


def _allocators() -> Iterator[Path]:
    vllm = find_spec("vllm")
    own = [f"{place}/libs" for place in (vllm.submodule_search_locations or [])] if vllm else []
    for folder in (*own, *_LIBRARIES):
        for pattern in _ALLOCATORS:
            yield from sorted(Path(folder).glob(pattern))
            yield from sorted(Path(folder).glob(f"*-linux-gnu/{pattern}"))
