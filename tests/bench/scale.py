"""What a run takes on many GPUs: hours, drivers and cost, from what one engine and one driver take.

    python tests/bench/scale.py --gpus 8 64 512
    python tests/bench/scale.py --check --engines 1 4 16 64 --json
    python tests/bench/scale.py --cpu-us 60 --ray-us 25 --put-ms 30 --get-ms 15 --start-s 90

A run is gone through in virtual time (`scale_model.py`) at two sizes, which gives a rate that lasts
and what beginning and end take on top; from these follow the hours of any size. `drivers` is the
smallest of 1, 2, 4... that leaves each driver idle for a fifth of its time. On top of that come
loading, `--loading` engines of a driver at a time, and sealing, which reads all manifests, 16 at a
time.

--check grows runs of scripted engines, with the latencies of a store put before a folder in memory,
and compares the seconds that they take with those foretold.

Everything that is given by argument is an input, not a finding.
"""

import argparse
import json
import logging
import math
import subprocess
import sys
import tempfile
import time

from scale_model import Costs, Engines, Simulation, Tree

BUSY = 0.8
"""A driver that is busier keeps engines waiting now and then."""
READERS = 16
ROUNDS = (16, 32)
"""Sizes of the two runs in virtual time, in turns a slot."""
MOST_PER_DRIVER = 256
"""Engines; one driver feeds no more."""
CHECK_TREE = ((16, 8), (6, 4), (4, 4), (2, 2))
CHECK_WAVE = 256
CHECK_TREES = 8


def main() -> None:
    args = arguments()
    if args.alone:
        print(json.dumps(grown(args)))
        return
    found = {"inputs": {k: v for k, v in vars(args).items() if k not in ("json", "alone")}}
    found |= {"checks": check(args)} if args.check else {"runs": foretold(args)}
    if args.json:
        print(json.dumps(found, indent=1))
    else:
        print(check_table(found["checks"]) if args.check else table(found["runs"]))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--nodes", type=float, default=1e8, help="candidates")
    parser.add_argument("--gpus", type=int, nargs="+", default=[8, 64, 512])
    parser.add_argument("--rates", type=float, nargs="+", default=[2_500, 10_000])
    parser.add_argument("--tokens", type=float, nargs="+", default=[50, 200, 500])
    parser.add_argument("--slots", type=int, default=256)
    parser.add_argument("--wave", type=int, default=2048, help="candidates a wave, at most")
    parser.add_argument("--trees", type=int, default=8, help="of a cohort")
    parser.add_argument("--cpu-us", type=float, default=60.0, help="driver.py: cpu_us")
    parser.add_argument("--ray-us", type=float, default=40.0, help="ray_cost.py: ray_us")
    parser.add_argument("--put-ms", type=float, default=30.0, help="of the store")
    parser.add_argument("--get-ms", type=float, default=15.0, help="of the store")
    parser.add_argument("--start-s", type=float, default=90.0, help="until an engine has loaded")
    parser.add_argument("--loading", type=int, default=8, help="engines that load at once")
    parser.add_argument("--price", type=float, default=2.5, help="of a GPU hour")
    parser.add_argument("--check", action="store_true", help="compare with runs that are grown")
    parser.add_argument("--engines", type=int, nargs="+", default=[1, 4, 16, 64], help="--check")
    parser.add_argument("--seconds", type=float, default=25.0, help="--check: engine time of a run")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--alone", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


# What is foretold.


def foretold(args: argparse.Namespace) -> list[dict]:
    return [
        best(args, gpus, rate, tokens)
        for rate in args.rates
        for tokens in args.tokens
        for gpus in args.gpus
    ]


def best(args: argparse.Namespace, gpus: int, rate: float, tokens: float) -> dict:
    """With as few drivers as do no harm."""
    tried = []
    drivers = math.ceil(gpus / MOST_PER_DRIVER)
    while drivers <= gpus:
        tried.append(hours(args, gpus, drivers, rate, tokens))
        if tried[-1]["driver_busy"] <= BUSY:
            break
        drivers *= 2
    return min(tried, key=lambda one: one["hours"])


def hours(args: argparse.Namespace, gpus: int, drivers: int, rate: float, tokens: float) -> dict:
    """Of a run with so many drivers, which share engines and cohorts evenly."""
    share = math.ceil(gpus / drivers)
    engines = Engines(share, rate, args.slots, tokens)
    per_node_s, ends_s, busy, waves_per_node = line(args, engines)
    nodes = args.nodes / drivers
    start_s = args.start_s * (math.ceil(share / args.loading) + 1) / 2
    seal_s = args.nodes * waves_per_node * args.get_ms / 1e3 / READERS
    steady_s = nodes * per_node_s
    total_s = start_s + steady_s + ends_s + seal_s
    return {
        "rate": rate,
        "tokens": tokens,
        "gpus": gpus,
        "drivers": drivers,
        "hours": round(total_s / 3600, 2),
        "engines_h": round(nodes * tokens / (share * rate) / 3600, 2),
        "steady_h": round(steady_s / 3600, 3),
        "start_s": round(start_s),
        "ends_s": round(ends_s),
        "seal_s": round(seal_s),
        "driver_busy": round(busy, 3),
        "gpu_hours": round(gpus * total_s / 3600),
        "cost": round(gpus * total_s / 3600 * args.price),
        "lost": round(1 - nodes * tokens / (share * rate) / total_s, 3),
    }


def line(args: argparse.Namespace, engines: Engines) -> tuple[float, float, float, float]:
    """Seconds a candidate, and seconds that beginning and end take on top."""
    from driver import FANOUTS

    oversample = (2.0, 1.5, 1.0, 1.0)
    levels = tuple((math.ceil(n * o), n) for n, o in zip(FANOUTS, oversample, strict=True))
    tree = Tree(args.trees, levels, args.wave)
    costs = Costs((args.cpu_us + args.ray_us) / 1e6, args.put_ms / 1e3, args.get_ms / 1e3)
    sizes = [max(2, round(k * engines.count * engines.slots / tree.candidates)) for k in ROUNDS]
    small, large = (Simulation(tree, engines, costs, size).run() for size in sizes)
    more = large.candidates - small.candidates
    of_engines = engines.tokens / (engines.count * engines.rate)
    busy = (large.driver_s - small.driver_s) / more / of_engines
    # Where the driver is not what decides, the difference of two runs is mostly chance.
    per_node = of_engines if busy <= BUSY else (large.seconds - small.seconds) / more
    ends = max(0.0, large.seconds - large.candidates * per_node)
    return per_node, ends, busy, large.waves / large.candidates


# Whether it is true, as far as that can be seen here.


def check(args: argparse.Namespace) -> list[dict]:
    found = []
    for engines in args.engines:
        command = [sys.executable, __file__, *sys.argv[1:], "--alone", "--engines", str(engines)]
        done = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True)
        found.append(json.loads(done.stdout.splitlines()[-1]))
    return found


def grown(args: argparse.Namespace) -> dict:
    """A run of scripted engines in this process, and what was foretold of it."""
    (engines,) = args.engines
    lot = Engines(engines, rate=5_000.0, slots=64, tokens=100, step=4)
    tree = Tree(CHECK_TREES, CHECK_TREE, CHECK_WAVE)
    cohorts = max(1, round(args.seconds * engines * lot.rate / lot.tokens / tree.candidates))
    costs = Costs(args.cpu_us / 1e6, args.put_ms / 1e3, args.get_ms / 1e3, open_s=0.002)
    measured, candidates, waves, tokens, thread_s = grow(args, lot, cohorts)
    # What turns were long on average is an input, as it would be of a real model.
    lot = lot._replace(tokens=tokens)
    foreseen = Simulation(tree, lot, costs, cohorts).run()
    return {
        "engines": engines,
        "candidates": candidates,
        "planned": foreseen.candidates,
        "waves": waves,
        "tokens": round(tokens, 1),
        "engines_alone_s": round(candidates * tokens / (engines * lot.rate), 1),
        "foretold_s": round(foreseen.seconds, 1),
        "measured_s": round(measured, 1),
        "error": round(foreseen.seconds / measured - 1, 4),
        "driver_cpu_s": round(thread_s, 1),
    }


def grow(
    args: argparse.Namespace, lot: Engines, cohorts: int
) -> tuple[float, int, int, float, float]:
    """Seconds, candidates, waves, mean length with its end, and CPU seconds of the driver."""
    from bench_run import opened
    from bench_watch import Silent
    from slow_store import SlowStore

    from jobs.spec_file import parse_spec
    from pipeline.storage.ledger import Ledger

    logging.basicConfig(level=logging.ERROR)
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        spec = parse_spec(content(lot, cohorts, folder), name="the benchmark")
        through = SlowStore.before(put_s=args.put_ms / 1e3, get_s=args.get_ms / 1e3)
        with opened(spec, Silent(), through=through) as run:
            cpu, wall = time.thread_time(), time.perf_counter()
            run.generate()
            cpu, wall = time.thread_time() - cpu, time.perf_counter() - wall
        counts = [manifest.counts for manifest in Ledger(run.store).all().values()]
    asked = sum(one.asked for one in counts)
    mean = 1 + sum(one.output_tokens for one in counts) / asked
    return wall, asked, len(counts), mean, cpu


def content(lot: Engines, cohorts: int, location: str) -> dict:
    """The spec of a run as it is gone through in virtual time."""
    roles = ("user", "assistant") * (len(CHECK_TREE) // 2)
    levels = [
        {"role": role, "fanout": kept, "oversample": asked / kept, "max_tokens": lot.most}
        for role, (asked, kept) in zip(roles, CHECK_TREE, strict=True)
    ]
    scripted = {
        "max_num_seqs": lot.slots,
        "step_s": lot.step * lot.slots / lot.rate,
        "tokens_per_step": lot.step,
        "mean_tokens": lot.tokens,
        "sigma": lot.sigma,
    }
    group = {
        "backend": "scripted",
        "replicas": lot.count,
        "loading": lot.count,
        "max_num_seqs": lot.slots,
        "scripted": scripted,
    }
    return {
        "generation": {
            "model": {"name": "scripted", "context": 1 << 20},
            "roots": {
                "trees": cohorts * CHECK_TREES,
                "topics": [{"text": "A chat about science."}],
            },
            "levels": levels,
            "curation": {"filters": [], "duplicates": "keep", "diversity": None},
            "bounds": {"candidates_per_wave": CHECK_WAVE, "trees_per_cohort": CHECK_TREES},
        },
        "execution": {
            "location": location,
            "pool": "local",
            "embedder": "hashing",
            "workers": 1,
            "engines": {"main": group},
        },
    }


def table(runs: list[dict]) -> str:
    return "\n".join(
        ["".join(f"{name:>13}" for name in runs[0])]
        + ["".join(f"{value!s:>13}" for value in run.values()) for run in runs]
    )


def check_table(checks: list[dict]) -> str:
    return "\n".join(
        ["".join(f"{name:>17}" for name in checks[0])]
        + ["".join(f"{value!s:>17}" for value in one.values()) for one in checks]
    )


if __name__ == "__main__":
    main()
