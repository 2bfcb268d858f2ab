"""What Ray costs the driver: the same scripted engines as Ray actors and as threads of one process.

    python tests/bench/ray_cost.py
    python tests/bench/ray_cost.py --engines 8 --rates 0 10000 2500 --tokens 50 200 500 --json

A pool is kept full of work and its outcomes are collected as the driver does it, with no tree, no
curation and no store. Each pool has a process of its own. A rate of 0 is an engine that takes no
time: it shows what an outcome costs where many come together; a real rate shows what they cost as
they come, few at a time.

main_us     CPU time of the driver's own thread an outcome
other_us    CPU time of the process's other threads an outcome: Ray's own, where engines are actors.
            They run beside the driver's thread; for threads it is the engines' own work
looks/s     calls of `collect` that brought something
ray_us      main_us of actors less main_us of threads

A look asks Ray about one open call an engine. What that costs with more engines than this machine
holds is measured with calls that wait (`--refs`), and shown a look.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from functools import partial

SIGMA = 0.5
SLOTS = 256
PROMPT = 400
"""Tokens of a prompt: a conversation of a few turns."""
CHILDREN = 8
"""Of a parent."""


def main() -> None:
    args = arguments()
    if args.alone:
        print(json.dumps(waits(args) if args.alone == "refs" else measure(args)))
        return
    runs = [compare(rate, tokens) for rate in args.rates for tokens in args.tokens]
    looks = measure_apart(alone="refs") if args.refs else {}
    if args.json:
        print(json.dumps({"engines": args.engines, "runs": runs, "waits_us": looks}, indent=1))
    else:
        print(table(runs))
        print("\n".join(f"a look over {n} open calls: {us} us" for n, us in looks.items()))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--engines", type=int, default=4)
    parser.add_argument("--rates", type=float, nargs="+", default=[0, 10_000], help="tokens/s")
    parser.add_argument("--tokens", type=int, nargs="+", default=[200], help="mean length")
    parser.add_argument(
        "--as-of", type=int, help="outcomes gather as they do with so many engines; default: these"
    )
    parser.add_argument("--warm", type=float, default=6.0, help="seconds before the window")
    parser.add_argument("--seconds", type=float, default=10.0, help="length of the window")
    parser.add_argument("--refs", type=int, nargs="*", default=[8, 64, 256], help="open calls")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--alone", choices=("local", "ray", "refs"), help=argparse.SUPPRESS)
    return parser.parse_args()


def compare(rate: float, tokens: int) -> dict:
    """Both pools at one pace."""
    local, ray = (measure_apart(rate, tokens, pool) for pool in ("local", "ray"))
    return {
        "rate": rate,
        "tokens": tokens,
        "ray_us": round(ray["main_us"] - local["main_us"], 1),
        "local": local,
        "ray": ray,
    }


def measure_apart(rate: float = 0.0, tokens: int = 1, alone: str = "local") -> dict:
    command = [sys.executable, __file__, *sys.argv[1:], "--alone", alone]
    command += ["--rates", str(rate), "--tokens", str(tokens)]
    with tempfile.TemporaryDirectory(prefix="rc") as folder:
        own = {"RAY_TMPDIR": folder, "RAY_AUTH_MODE": "disabled"}
        done = subprocess.run(
            command, stdout=subprocess.PIPE, check=True, text=True, env=os.environ | own
        )
    return json.loads(done.stdout.splitlines()[-1])


def measure(args: argparse.Namespace) -> dict:
    """One pool in this process."""
    (rate,), (tokens,) = args.rates, args.tokens
    gather_as(args.as_of or args.engines, args.engines)
    pool = make_pool(args.alone, args.engines, rate, tokens)
    load = Load(pool)
    try:
        pool.start()
        load.fill(4 * SLOTS * args.engines)
        load.run(args.warm)
        thread, process, wall = time.thread_time(), time.process_time(), time.perf_counter()
        load.outcomes = load.looks = 0
        load.run(args.seconds)
        thread, process = time.thread_time() - thread, time.process_time() - process
        wall = time.perf_counter() - wall
    finally:
        pool.close()
    per = 1e6 / max(1, load.outcomes)
    return {
        "outcomes_per_s": round(load.outcomes / wall, 1),
        "looks_per_s": round(load.looks / wall, 1),
        "main_us": round((thread - load.own_s) * per, 1),
        "other_us": round((process - thread) * per, 1),
        "busy": round((thread - load.own_s) / wall, 4),
    }


def gather_as(many: int, engines: int) -> None:
    """Few engines let outcomes gather for as long as many would."""
    from pipeline.pool import ray_engines, supervise

    ray_engines._CALLS_PER_S *= engines / many
    supervise._REST_S *= many / engines


def make_pool(kind: str, engines: int, rate: float, tokens: int):
    from pipeline.engines.scripted import WEIGHTS, ScriptedConfig, ScriptedEngine
    from pipeline.pool.local import LocalPool
    from pipeline.pool.pool import GroupPlan, PoolLimits
    from pipeline.pool.ray import RayPool

    config = ScriptedConfig(
        max_num_seqs=SLOTS,
        step_s=SLOTS / rate if rate else 0.0,
        tokens_per_step=1 if rate else 16,
        mean_tokens=tokens,
        sigma=SIGMA,
    )
    group = GroupPlan(
        "main", partial(ScriptedEngine, config), engines, 2 * SLOTS, WEIGHTS, loading=engines
    )
    limits = PoolLimits(attempts=3, restarts=0, start_s=300, stall_s=300)
    return (LocalPool if kind == "local" else RayPool)([group], limits)


class Load:
    """Keeps a pool full."""

    def __init__(self, pool) -> None:
        self._pool, self._wave, self._open, self._wanted = pool, 0, 0, 0
        self.outcomes = self.looks = 0
        self.own_s = 0.0
        """CPU time that making requests took."""

    def fill(self, wanted: int) -> None:
        """So many children are in flight from now on."""
        self._wanted = wanted

    def run(self, seconds: float) -> None:
        """Submit and collect for so long."""
        self.own_s = 0.0
        until = time.perf_counter() + seconds
        while time.perf_counter() < until:
            while self._open < self._wanted:
                self._pool.submit(self._requests())
            outcomes = self._pool.collect(0.5)
            self._open -= len(outcomes)
            self.outcomes += len(outcomes)
            self.looks += bool(outcomes)

    def _requests(self) -> list:
        """One wave."""
        import numpy as np

        from schemas.records import Request, Sampling

        begun = time.thread_time()
        self._wave += 1
        sampling = Sampling(max_tokens=4096, stop_ids=(258,))
        prompt = np.full(PROMPT, 65, dtype=np.int32)
        requests = [
            Request(
                wave=f"{self._wave:06}",
                parent_id=f"{self._wave:06}-{parent:026}",
                first_child=0,
                n=CHILDREN,
                prompt=prompt,
                sampling=sampling,
                seed=(self._wave << 20) + (parent << 8),
            )
            for parent in range(SLOTS // CHILDREN)
        ]
        self._open += SLOTS
        self.own_s += time.thread_time() - begun
        return requests


def waits(args: argparse.Namespace) -> dict[str, float]:
    """What one look at so many open calls costs, of which one has ended."""
    import ray

    ray.init(include_dashboard=False, num_cpus=2, log_to_driver=False)
    found = {}
    try:
        for number in args.refs:
            found[str(number)] = one_wait(number)
    finally:
        ray.shutdown()
    return found


def one_wait(number: int) -> float:
    import asyncio

    import ray

    @ray.remote(max_concurrency=1000, num_cpus=0)
    class Waiter:
        async def wait(self, seconds: float) -> None:
            await asyncio.sleep(seconds)

    waiter = Waiter.remote()
    ray.get(waiter.wait.remote(0))
    refs = [waiter.wait.remote(120) for _ in range(number - 1)] + [waiter.wait.remote(0)]
    ray.get(refs[-1])
    times = []
    for _ in range(200):
        begun = time.thread_time()
        ray.wait(refs, num_returns=1, timeout=0.25)
        ray.wait(refs, num_returns=len(refs), timeout=0)
        times.append(time.thread_time() - begun)
    ray.kill(waiter)
    return round(1e6 * sum(times) / len(times), 1)


def table(runs: list[dict]) -> str:
    lines = [
        f"{'tokens/s':>9} {'length':>7} {'pool':>6} {'outcomes/s':>11} {'looks/s':>8} "
        f"{'main_us':>8} {'other_us':>9} {'busy':>7} {'ray_us':>8}"
    ]
    for run in runs:
        for kind in ("local", "ray"):
            one = run[kind]
            more = f"{run['ray_us']:>8}" if kind == "ray" else ""
            lines.append(
                f"{run['rate']:>9.0f} {run['tokens']:>7} {kind:>6} {one['outcomes_per_s']:>11} "
                f"{one['looks_per_s']:>8} {one['main_us']:>8} {one['other_us']:>9} "
                f"{one['busy']:>7} {more}"
            )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
