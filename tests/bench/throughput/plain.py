"""Arms `plain` and `ceiling`: `LLM.generate` as a person would call it, and nothing written.

plain    one call a level, with all prompts of that level
ceiling  one call with everything, since the plain loop has told what the prompts will be
"""

import json
from pathlib import Path
from typing import Any

from tests.bench.throughput.gauge import Gauge
from tests.bench.throughput.growing import Asked, Grower
from tests.bench.throughput.lengths import Turn, turns_by_seed
from tests.bench.throughput.machine import load_llm, prepare_process
from tests.bench.throughput.record import Record
from tests.bench.throughput.setup import Setup
from tests.bench.throughput.spec import make_spec

WARM_UP = list(range(1000, 1040))


def measure(setup: Setup, replay: Path) -> Record:
    """The loop; it leaves behind what it asked for."""
    prepare_process(setup)
    from jobs.wiring import resolve

    resolved = resolve(make_spec(setup, "memory://bench-throughput"))
    record = Record()
    Gauge(turns_by_seed(resolved.run, setup), record).install()
    llm, grower = load_llm(setup), Grower(resolved, setup)
    llm.generate([{"prompt_token_ids": WARM_UP}], use_tqdm=False)
    record.begin()
    asked, told = grower.first(), []
    while asked:
        said = [output.outputs[0] for output in generate(llm, asked)]
        told += zip(asked, said, strict=True)
        pairs = zip(asked, said, strict=True)
        asked = [child for one, text in pairs for child in grower.below(one, spoken(text))]
    record.end()
    replay.write_text("\n".join(_told(one, len(text.token_ids)) for one, text in told))
    return record


def generate(llm: Any, asked: list[Asked]) -> list[Any]:
    """A prompt a child, because only so each has a seed and a length of its own."""
    prompts = [{"prompt_token_ids": one.prompt} for one in asked]
    return llm.generate(prompts, [sampling_params(one) for one in asked], use_tqdm=False)


def sampling_params(asked: Asked) -> Any:
    """The same sampling; everything else as vLLM has it by default."""
    from vllm import SamplingParams

    sampling = asked.sampling
    return SamplingParams(
        max_tokens=sampling.max_tokens,
        temperature=sampling.temperature,
        top_p=sampling.top_p,
        stop=list(sampling.stop_strings),
        stop_token_ids=list(sampling.stop_ids),
        logprobs=None if sampling.logprobs == "none" else 0,
        seed=asked.seed,
        skip_special_tokens=False,
    )


def spoken(output: Any) -> list[int]:
    """A turn without its terminator."""
    ids = list(output.token_ids)
    return ids[:-1] if output.finish_reason == "stop" else ids


def _told(asked: Asked, length: int) -> str:
    where = {"level": asked.level, "length": length, "seed": asked.seed}
    sampling = {"temperature": asked.sampling.temperature, "top_p": asked.sampling.top_p}
    return json.dumps(where | sampling | {"prompt": asked.prompt})


def measure_ceiling(setup: Setup, replay: Path) -> Record:
    """All that the loop asked for, in its order, at once, and as long as it was there."""
    prepare_process(setup)
    told = [json.loads(line) for line in replay.read_text().splitlines()]
    record = Record(all_known=True)
    Gauge({one["seed"]: Turn(one["level"], one["length"]) for one in told}, record).install()
    llm = load_llm(setup)
    llm.generate([{"prompt_token_ids": WARM_UP}], use_tqdm=False)
    from vllm import SamplingParams

    record.begin()
    names = ("temperature", "top_p", "seed")
    prompts = [{"prompt_token_ids": one["prompt"]} for one in told]
    params = [SamplingParams(logprobs=0, **{name: one[name] for name in names}) for one in told]
    llm.generate(prompts, params, use_tqdm=False)
    record.end()
    return record
