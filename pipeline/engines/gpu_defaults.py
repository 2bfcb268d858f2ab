"""What is right for an engine on a GPU. Read in vLLM's sources, and not measured by us.

What is left out here is left to vLLM, whose own defaults for `LLM` depend on the GPU that it finds:
1,024 sequences and 16,384 tokens a step from 70 GiB of memory on (an A100: 256 and 8,192), else 256
and 8,192. Left to it as well, because its defaults are those for throughput already: CUDA graphs
for up to 512 sequences (1,024 on Blackwell) and compiled pieces for more, scheduling ahead of the
GPU, prompts in pieces, blocks of 16 tokens, which short turns share best.
"""

from typing import Any

from schemas.engine_group_spec import SLOTS

GIB = 1 << 30
SHARE = 0.92
"""Of a GPU's memory, where no size is given for the KV cache: vLLM's own."""
BATCHED_OF_A_SHARE = 8192
"""For an engine with a share of a GPU, of which vLLM would look at the whole."""


def sizes(seqs: int | None, batched: int | None, gpus: float) -> dict[str, Any]:
    """How many sequences are decoded at once, and how many tokens a step has at most."""
    if gpus < 1:
        seqs, batched = seqs or SLOTS, batched or BATCHED_OF_A_SHARE
    if seqs and batched:
        batched = max(seqs, batched)
    chosen = {"max_num_seqs": seqs, "max_num_batched_tokens": batched}
    return {name: value for name, value in chosen.items() if value is not None}


def memory(kv_cache_gib: float | None, gpus: float) -> dict[str, Any]:
    """How much the KV cache takes, or the engine as a whole."""
    if kv_cache_gib is not None:
        return {"kv_cache_memory_bytes": int(kv_cache_gib * GIB)}
    return {"gpu_memory_utilization": SHARE * (gpus if 0 < gpus < 1 else 1.0)}
