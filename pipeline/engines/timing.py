"""How fast vLLM is under some settings: a few short batches, in a process of their own.

    python -m pipeline.engines.timing < settings.json

Settings are those of `Trial` as a JSON object; what was found is printed as one JSON line. Turns
have forced lengths and seeds of their own, and share nothing but what their prompts begin with.
"""

import json
import os
import random
import statistics
import sys
import time
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from pipeline.engines.vllm_load import load_vllm
from pipeline.engines.vllm_report import device_name
from pipeline.engines.vllm_settings import VllmConfig, set_environment

if TYPE_CHECKING:
    from vllm.v1.engine.llm_engine import LLMEngine

_WARM_UP = 4
"""Tokens of each turn of a batch before the first one that counts."""


@dataclass(frozen=True, kw_only=True)
class Trial:
    """What is tried."""

    config: dict[str, Any]
    """Of `VllmConfig`."""
    environment: dict[str, str] = field(default_factory=dict)
    """Set before vLLM is imported, on top of what we set."""
    sequences: int = 32
    shared: int = 64
    """Tokens that all prompts of a batch begin with."""
    prompt: int = 32
    """Tokens of each prompt after them."""
    tokens: int = 32
    """Of each turn."""
    batches: int = 3
    top_p: float = 1.0
    seeded: bool = True


def main() -> None:
    """Try what is asked for on stdin."""
    found = measure(Trial(**json.load(sys.stdin)))
    sys.stdout.write(json.dumps(found) + "\n")


def measure(trial: Trial) -> dict[str, Any]:
    """Output tokens a second of each batch, and what was loaded; and output tokens a second of CPU
    time, which a machine that is busy with other work disturbs less."""
    config = VllmConfig(**trial.config)
    set_environment(config)
    os.environ.update(trial.environment)
    begun = time.perf_counter()
    engine = load_vllm(config, seed=1)
    loaded = time.perf_counter()
    try:
        numbers = random.Random(0)
        _batch(engine, trial, numbers, _WARM_UP)
        rates = [_rate(engine, trial, numbers) for _ in range(trial.batches)]
    finally:
        engine.engine_core.shutdown()
    settings = engine.vllm_config
    return {
        "trial": asdict(trial),
        "tokens_per_s": [round(rate.wall, 1) for rate in rates],
        "median": round(statistics.median(rate.wall for rate in rates), 1),
        "median_by_cpu": round(statistics.median(rate.cpu for rate in rates), 1),
        "load_s": round(loaded - begun, 1),
        "dtype": str(settings.model_config.dtype).removeprefix("torch."),
        "max_num_seqs": settings.scheduler_config.max_num_seqs,
        "max_num_batched_tokens": settings.scheduler_config.max_num_batched_tokens,
        "block_size": settings.cache_config.block_size,
        "device": device_name(settings.parallel_config.world_size),
    }


class _Rate(NamedTuple):
    """Output tokens a second of two clocks."""

    wall: float
    cpu: float
    """Of all threads of this process."""


def _rate(engine: "LLMEngine", trial: Trial, numbers: random.Random) -> _Rate:
    wall, cpu = time.perf_counter(), time.process_time()
    tokens = _batch(engine, trial, numbers, trial.tokens)
    return _Rate(tokens / (time.perf_counter() - wall), tokens / (time.process_time() - cpu))


def _batch(engine: "LLMEngine", trial: Trial, numbers: random.Random, length: int) -> int:
    """Tokens that one batch of turns has."""
    ids = range(100, min(engine.model_config.get_vocab_size(), 10_000))
    shared = numbers.choices(ids, k=trial.shared)
    for _ in range(trial.sequences):
        own = numbers.choices(ids, k=trial.prompt)
        seed = numbers.getrandbits(62) if trial.seeded else None
        params = _params(trial, length, seed)
        name = str(numbers.getrandbits(62))
        engine.add_request(name, {"prompt_token_ids": shared + own}, params)
    tokens = 0
    while engine.has_unfinished_requests():
        for output in engine.step():
            if output.finished:
                tokens += len(output.outputs[0].token_ids)
    return tokens


def _params(trial: Trial, length: int, seed: int | None) -> Any:
    from vllm import SamplingParams
    from vllm.sampling_params import RequestOutputKind

    return SamplingParams(
        max_tokens=length,
        ignore_eos=True,
        top_p=trial.top_p,
        seed=seed,
        logprobs=0,
        flat_logprobs=True,
        detokenize=False,
        output_kind=RequestOutputKind.FINAL_ONLY,
    )


if __name__ == "__main__":
    main()
