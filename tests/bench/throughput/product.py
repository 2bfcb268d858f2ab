"""Arm `product`: the run that `arborist generate` does, from the first wave to the last commit.

Engine, workers and driver in this process or below it, rows measured and judged as its spec says,
shards committed to files. The verdicts are then all overruled, so that the tree is that of the
other arms.
"""

import tempfile
import time
from typing import Any

from tests.bench.throughput.gauge import Gauge
from tests.bench.throughput.lengths import turns_by_seed
from tests.bench.throughput.machine import prepare_process
from tests.bench.throughput.record import Record
from tests.bench.throughput.setup import Setup
from tests.bench.throughput.spec import make_spec

WARM_UP = list(range(1000, 1040))
"""A prompt that shares nothing with the trees'."""


def measure(setup: Setup) -> Record:
    """One run."""
    prepare_process(setup)
    from jobs.wiring import resolve
    from tests.bench.bench_run import opened
    from tests.bench.bench_watch import Silent

    record = Record()
    with tempfile.TemporaryDirectory() as folder:
        spec = make_spec(setup, folder)
        Gauge(turns_by_seed(resolve(spec).run, setup), record).install()
        dropped = overrule_verdicts()
        with opened(spec, Silent()) as run:
            warm_up(run.hands.pool)
            warm_up_workers(run.hands.workers)
            record.begin()
            driver = time.thread_time()
            run.generate()
            driver = time.thread_time() - driver
            record.end()
    record.more = {
        "driver_us_a_node": round(1e6 * driver / sum(setup.sizes), 1),
        "would_be_dropped": sum(dropped),
    }
    return record


def overrule_verdicts() -> list[int]:
    """All that was sampled is kept, once it is judged; how many were not to be, wave by wave."""
    from pipeline import judging
    from schemas.records import KEEP

    curate, dropped = judging.curate, []

    def lenient(candidates: Any, *args: Any, **settings: Any) -> list[Any]:
        verdicts = curate(candidates, *args, **settings)
        dropped.append(sum(not verdict.kept for verdict in verdicts))
        pairs = zip(candidates, verdicts, strict=True)
        return [v if v.kept or c.failure is not None else KEEP for c, v in pairs]

    judging.curate = lenient
    return dropped


def warm_up(pool: Any) -> None:
    """A first request."""
    from schemas.records import Request, Sampling, to_ids

    prompt = to_ids(WARM_UP)
    pool.submit([Request("warm-up", "warm-up", 0, 1, prompt, Sampling(max_tokens=8))])
    while not pool.collect(1.0):
        pass


def warm_up_workers(workers: Any) -> None:
    """A first wave to measure, so that what measures is loaded, as engines are."""
    import numpy as np

    from schemas.measures import Turns
    from schemas.records import to_ids

    said = "How do ships float, and why do stones sink?"
    none = np.zeros(1, dtype=np.int32)
    turns = Turns(
        role="user",
        node_ids=["warm-up"],
        texts=[said],
        token_ids=to_ids(WARM_UP),
        ends=np.array([len(WARM_UP)]),
        reasoning_tokens=none,
        finish_reasons=["stop"],
        logprob_sums=np.zeros(1),
        families=none,
        above=[("",)],
        references=[""],
        tongues=np.zeros(1, dtype=np.int8),
    )
    workers.submit("warm-up", turns)
    while not workers.collect():
        time.sleep(0.01)
