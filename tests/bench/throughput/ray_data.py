"""Arm `ray-data`: Ray Data over an actor that holds vLLM, one pass a level.

Each pass starts its actor anew, and so loads the model again: Ray Data knows no actor that outlives
a pass. The figures leave out all time until a pass's engine has loaded, and beside them stand
those with it.
"""

import json
import os
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.bench.throughput.growing import Asked, Grower
from tests.bench.throughput.record import Finish, Record, Step
from tests.bench.throughput.setup import Setup
from tests.bench.throughput.spec import make_spec

ROOT = Path(__file__).parents[3]
STORE_BYTES = 1 << 28


class Author:
    """Lives in Ray's actor."""

    def __init__(self, setup: str) -> None:
        from jobs.wiring import resolve
        from tests.bench.throughput.gauge import Gauge
        from tests.bench.throughput.lengths import turns_by_seed
        from tests.bench.throughput.machine import load_llm, prepare_process

        settings = Setup.from_json(setup)
        prepare_process(settings)
        run = resolve(make_spec(settings, "memory://bench-throughput")).run
        self._record = Record()
        Gauge(turns_by_seed(run, settings), self._record).install()
        self._llm = load_llm(settings)
        self._llm.generate([{"prompt_token_ids": list(range(1000, 1040))}], use_tqdm=False)
        self._loaded, self._loading_cpu = time.perf_counter(), time.process_time()

    def __call__(self, batch: dict[str, Any]) -> dict[str, list[str]]:
        """Texts travel as JSON, because lists of different lengths make no column."""
        from vllm import SamplingParams

        asked = [json.loads(row) for row in batch["asked"]]
        prompts = [{"prompt_token_ids": one["prompt"]} for one in asked]
        params = [SamplingParams(**one["params"]) for one in asked]
        outputs = self._llm.generate(prompts, params, use_tqdm=False)
        said = [output.outputs[0] for output in outputs]
        seen = self._record
        told = {
            "loaded": self._loaded,
            "loading_cpu": self._loading_cpu,
            "steps": seen.steps,
            "finishes": seen.finishes,
            "prompt_computed": seen.prompt_computed,
            "output_tokens": seen.output_tokens,
        }
        rows = [{"ids": list(s.token_ids), "stopped": s.finish_reason == "stop"} for s in said]
        rows[0] |= {"told": told}
        return {"seed": batch["seed"], "said": [json.dumps(row) for row in rows]}


def measure(setup: Setup) -> Record:
    """One run."""
    from jobs.wiring import resolve

    resolved = resolve(make_spec(setup, "memory://bench-throughput"))
    with tempfile.TemporaryDirectory(prefix="ray-", dir="/tmp", ignore_cleanup_errors=True) as tmp:
        start_ray(setup, tmp)
        import ray

        try:
            return grow(Grower(resolved, setup), setup)
        finally:
            ray.shutdown()


def start_ray(setup: Setup, folder: str) -> None:
    """On this machine's loopback alone; Ray reads the environment when it is first imported."""
    os.environ["RAY_AUTH_MODE"] = "disabled"
    os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
    os.environ["PYTHONPATH"] = str(ROOT)
    import ray

    ray.init(
        address="local",
        num_cpus=max(os.cpu_count() or 1, setup.cpus),
        num_gpus=int(setup.device != "cpu"),
        include_dashboard=False,
        object_store_memory=STORE_BYTES,
        _node_ip_address="127.0.0.1",
        _temp_dir=folder,
        log_to_driver=False,
    )
    ray.data.DataContext.get_current().enable_progress_bars = False


def grow(grower: Grower, setup: Setup) -> Record:
    """Level by level; times are moved together where engines were loading."""
    record, asked, loading, loading_cpu = Record(), grower.first(), 0.0, 0.0
    record.begin()
    while asked:
        begun = time.perf_counter()
        rows = {row["seed"]: json.loads(row["said"]) for row in one_pass(asked, setup)}
        said = [rows[str(one.seed)] for one in asked]
        (told,) = (row["told"] for row in said if "told" in row)
        loading += told["loaded"] - begun
        loading_cpu += told["loading_cpu"]
        add(record, told, loading)
        record.prompts += [one.prompt for one in asked]
        turns = [row["ids"][: -1 if row["stopped"] else None] for row in said]
        asked = [c for one, ids in zip(asked, turns, strict=True) for c in grower.below(one, ids)]
    record.end()
    whole = record.ended - record.begun
    record.ended -= loading
    record.cpu_s -= loading_cpu
    record.more = {
        "seconds_with_start": round(whole, 2),
        "tokens_per_s_with_start": round(record.output_tokens / whole, 2),
    }
    return record


def one_pass(asked: list[Asked], setup: Setup) -> list[dict[str, Any]]:
    """All of a level in one batch, as `LLM.generate` likes it best."""
    import ray
    from ray.data import ActorPoolStrategy

    rows = [{"seed": str(one.seed), "asked": json.dumps(_asked(one))} for one in asked]
    data = ray.data.from_items(rows, override_num_blocks=1).map_batches(
        Author,
        fn_constructor_args=(setup.to_json(),),
        batch_size=len(rows),
        compute=ActorPoolStrategy(size=1),
        num_cpus=setup.cpus,
        num_gpus=int(setup.device != "cpu"),
    )
    return data.take_all()


def _asked(one: Asked) -> dict[str, Any]:
    sampling = one.sampling
    params = {
        "max_tokens": sampling.max_tokens,
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "stop": list(sampling.stop_strings),
        "stop_token_ids": list(sampling.stop_ids),
        "logprobs": None if sampling.logprobs == "none" else 0,
        "seed": one.seed,
        "skip_special_tokens": False,
    }
    return {"prompt": one.prompt, "params": params}


def add(record: Record, told: dict[str, Any], loading: float) -> None:
    """What the actor of one pass saw."""
    record.steps += [Step(begin - loading, end - loading, n) for begin, end, n in told["steps"]]
    record.finishes += [Finish(at - loading, level) for at, level in told["finishes"]]
    record.prompt_computed += told["prompt_computed"]
    record.output_tokens += told["output_tokens"]
