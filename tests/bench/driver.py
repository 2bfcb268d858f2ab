"""What a node costs the driver: everything but the model, over scripted engines.

    python tests/bench/driver.py --nodes 100000
    python tests/bench/driver.py --nodes 20000 --engines 64 --store memory --json

A whole run of about so many candidates, with turns of about 200 tokens, in a process of its own;
and another of a tenth of the size, to see whether the cost and the memory of a node are flat.

cpu_us    CPU time of the driver's threads, over the candidates asked for: its own, and those that
          write to the store. Target: 100.
wall_us   wall time over the candidates. Engines are threads here, so it holds their time too:
net_us    wall_us without the CPU time that the engines' own threads took.
rss_mib   the most memory the process held; `--store memory` keeps all rows in it.

Turns are measured by one worker process, whose time is not the driver's; near duplicates are looked
for, and with --diversity the children kept are chosen by MMR.

The split is CPU time of the driver's threads by step (`time.thread_time` around the functions of
each), and beside it the step's wall time: what a commit waits for the disk, or the pool for its
engines; several commits wait at once. `rest` is what no step accounts for.

expand           parents to requests: prompts, ids, seeds
pool             handing requests to engines, taking outcomes in, keeping the books on both
flight           which outcome belongs to which wave, and which waves are whole
attach           outcomes to candidates: ids, places, prompt hashes
workers          turns to those who measure them, and numbers back
curate           verdicts, from numbers that workers measured
frontier         the nodes that are expanded next, with the conversation above each
parquet          candidates and verdicts to Arrow tables, those to bytes
commit           to the store: shards, manifest; `look`: whether another driver was first
"""

import argparse
import json
import logging
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from threading import get_ident

TARGET_US = 100
FANOUTS = (8, 4, 4, 2)
"""With the default oversampling: 448 candidates a tree."""
MEAN_TOKENS = 200
MAX_TOKENS = 2048


def main() -> None:
    args = arguments()
    if args.alone:
        print(json.dumps(measure(args)))
        return
    runs = [measure_apart(args, size) for size in (max(1, args.nodes // 10), args.nodes)]
    passed = runs[-1]["cpu_us"] <= TARGET_US
    if args.json:
        print(json.dumps({"target_us": TARGET_US, "passed": passed, "runs": runs}, indent=1))
    else:
        print(table(runs))
    sys.exit(0 if passed else 1)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--nodes", type=int, default=100_000, help="about so many candidates")
    parser.add_argument("--engines", type=int, default=1, help="scripted engines, a thread each")
    parser.add_argument(
        "--store", choices=("file", "memory"), default="file", help="where shards are committed"
    )
    parser.add_argument("--tokens", type=int, default=MEAN_TOKENS, help="mean length of a turn")
    parser.add_argument(
        "--diversity", action="store_true", help="choose siblings by MMR over hashed vectors too"
    )
    parser.add_argument("--profile", metavar="FILE", help="write the larger run's cProfile here")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--alone", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


def measure_apart(args: argparse.Namespace, nodes: int) -> dict:
    """One size in a process of its own, so that neither finds the other's memory."""
    command = [sys.executable, __file__, "--alone", "--nodes", str(nodes)]
    command += ["--engines", str(args.engines), "--store", args.store, "--tokens", str(args.tokens)]
    command += ["--diversity"] if args.diversity else []
    if args.profile and nodes == args.nodes:
        command += ["--profile", args.profile]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True)
    return json.loads(done.stdout)


def measure(args: argparse.Namespace) -> dict:
    """One run in this process."""
    with tempfile.TemporaryDirectory() as folder:
        location = folder if args.store == "file" else "memory://bench-driver"
        spec = make_spec(args, location)
        steps = Steps()
        begun = time.process_time()
        waves, asked, tokens = grow(spec, steps, args.profile)
        process = time.process_time() - begun
    per_node = 1e6 / asked
    engine_s = steps.seconds("engine")
    split = {step: round(s * per_node, 1) for step, s in steps.of_driver.items()}
    waited = steps.walls
    walls = {step: round(waited[step] * per_node, 1) for step in split}
    cpu_us = steps.total * per_node
    return {
        "candidates": asked,
        "waves": waves,
        "engines": args.engines,
        "store": args.store,
        "cpu_us": round(cpu_us, 1),
        "wall_us": round(steps.wall * per_node, 1),
        "engine_us": round(engine_s * per_node, 1),
        "net_us": round((steps.wall - engine_s) * per_node, 1),
        "process_cpu_us": round(process * per_node, 1),
        "mean_tokens": tokens // asked,
        "rss_mib": peak_rss_mib(),
        "split_us": split | {"rest": round(cpu_us - sum(split.values()), 1)},
        "split_wall_us": walls,
    }


def make_spec(args: argparse.Namespace, location: str):
    """A spec whose plan asks for about the candidates wanted."""
    from jobs.spec_file import parse_spec
    from pipeline.plan.plan import make_plan
    from pipeline.recipes import RECIPES

    def spec(trees: int):
        return parse_spec(spec_content(args, location, trees), name="the benchmark")

    one = spec(1).generation
    per_tree = sum(level.candidates for level in make_plan(one, RECIPES[one.recipe], 1).levels)
    return spec(max(1, round(args.nodes / per_tree)))


def levels() -> list[dict]:
    """Of every tree."""
    roles = ("user", "assistant") * (len(FANOUTS) // 2)
    return [
        {"role": role, "fanout": fanout, "max_tokens": MAX_TOKENS}
        for role, fanout in zip(roles, FANOUTS, strict=True)
    ]


def spec_content(args: argparse.Namespace, location: str, trees: int) -> dict:
    group = {
        "backend": "scripted",
        "replicas": args.engines,
        "scripted": {"mean_tokens": args.tokens, "duplicate_share": 0.02, "empty_share": 0.01},
    }
    return {
        "generation": {
            "model": {"name": "scripted", "context": 1 << 20},
            "roots": {"trees": trees, "topics": [{"text": "A chat about everyday science."}]},
            "levels": levels(),
            "curation": {"diversity": {} if args.diversity else None},
        },
        "execution": {
            "location": location,
            "pool": "local",
            "embedder": "hashing",
            "workers": 1,
            "engines": {"main": group},
        },
    }


class Steps:
    """CPU time by step, read on the calling thread around each step's functions."""

    def __init__(self) -> None:
        self._seconds: Counter[tuple[str, int]] = Counter()
        """By step and thread, so that engines do not write over each other."""
        self._walls: Counter[tuple[str, int]] = Counter()
        """The same in wall time."""
        self.total = self.wall = 0.0
        self.committing: Counter[int] = Counter()
        """CPU time of the threads that commit, by thread."""

    def seconds(self, step: str) -> float:
        return sum(s for (name, _), s in list(self._seconds.items()) if name == step)

    @property
    def walls(self) -> Counter[str]:
        """Wall time by step, over all threads."""
        walls: Counter[str] = Counter()
        for (step, _), seconds in list(self._walls.items()):
            walls[step] += seconds
        return walls

    @property
    def of_driver(self) -> dict[str, float]:
        split: Counter[str] = Counter()
        for (step, thread), seconds in list(self._seconds.items()):
            if thread == get_ident() or thread in self.committing:
                split[step] += seconds
        return dict(split.most_common())

    def watch(self, owner: object, name: str, step: str) -> None:
        """Time every call of `owner.name`; the functions watched must not call each other."""
        inner = getattr(owner, name)

        def timed(*args, **kwargs):
            begun, entered = time.thread_time(), time.perf_counter()
            try:
                return inner(*args, **kwargs)
            finally:
                self._seconds[step, get_ident()] += time.thread_time() - begun
                self._walls[step, get_ident()] += time.perf_counter() - entered

        setattr(owner, name, timed)

    def watch_commits(self) -> None:
        """What is done on the threads that commit, all in all."""
        from pipeline import generate

        inner = generate.commit_wave

        def timed(*args, **kwargs):
            begun = time.thread_time()
            try:
                return inner(*args, **kwargs)
            finally:
                self.committing[get_ident()] += time.thread_time() - begun

        generate.commit_wave = timed

    def watch_engines(self) -> None:
        """What engines do in their threads."""
        from pipeline.engines.scripted import ScriptedEngine

        for name in ("add", "step"):
            self.watch(ScriptedEngine, name, "engine")

    def watch_driver(self, hands) -> None:
        """Every step of the loop, where the loop looks it up."""
        from pipeline import generate, judging
        from pipeline.flight import Flight
        from pipeline.lineage import Lineage
        from pipeline.storage import shards, tables
        from pipeline.storage.ledger import Ledger

        self.watch_commits()
        for name in ("submit", "collect", "stats"):
            self.watch(hands.pool, name, "pool")
        for name in ("open", "settle"):
            self.watch(Flight, name, "flight")
        self.watch(generate, "expand", "expand")
        self.watch(generate, "attach", "attach")
        self.watch(judging, "curate", "curate")
        self.watch(generate, "turns_of", "workers")
        for name in ("submit", "collect"):
            self.watch(hands.workers, name, "workers")
        self.watch(generate, "frontier_of", "frontier")
        self.watch(Lineage, "parents", "frontier")
        for name in ("to_table", "to_feature_table"):
            self.watch(shards, name, "parquet: table")
        self.watch(tables, "encode", "parquet: encode")
        self.watch(tables, "settle", "commit: shards")
        self.watch(Ledger, "commit", "commit: manifest")
        self.watch(Ledger, "read", "commit: look")


def grow(spec, steps: Steps, profile: str | None) -> tuple[int, int, int]:
    """Grow the run; how many waves, candidates and tokens it had."""
    from bench_run import opened
    from bench_watch import Silent

    from pipeline.storage.ledger import Ledger

    logging.basicConfig(level=logging.WARNING)
    steps.watch_engines()
    with opened(spec, Silent(), see=steps.watch_driver) as run:
        cpu, wall = time.thread_time(), time.perf_counter()
        profiled(run.generate, profile) if profile else run.generate()
        steps.total, steps.wall = time.thread_time() - cpu, time.perf_counter() - wall
        steps.total += sum(steps.committing.values())
    manifests = Ledger(run.store).all().values()
    counts = [manifest.counts for manifest in manifests]
    return len(counts), sum(c.asked for c in counts), sum(c.output_tokens for c in counts)


def profiled(work, location: str) -> None:
    from cProfile import Profile

    profile = Profile(time.thread_time)
    try:
        profile.runcall(work)
    finally:
        profile.dump_stats(location)


def peak_rss_mib() -> float:
    """Linux counts `ru_maxrss` from before the exec too, so the process's own mark is read."""
    status = Path("/proc/self/status").read_text()
    (line,) = [line for line in status.splitlines() if line.startswith("VmHWM:")]
    return round(int(line.split()[1]) / 1024, 1)


def table(runs: list[dict]) -> str:
    """The tenth and the whole side by side; for each step CPU time, then wall time."""
    small, large = runs
    rows = [(name, small[name], large[name]) for name in large if not name.startswith("split")]
    for step, cpu in sorted(large["split_us"].items(), key=lambda item: -item[1]):
        wall = f"{large['split_wall_us'].get(step, '')!s:>10}"
        rows.append((f"  {step}", small["split_us"].get(step, 0), f"{cpu}{wall}"))
    lines = [f"{name:<20} {a!s:>12}     {b!s}" for name, a, b in rows]
    verdict = "within" if large["cpu_us"] <= TARGET_US else "ABOVE"
    return "\n".join([*lines, f"cpu_us {large['cpu_us']}: {verdict} the target of {TARGET_US}"])


if __name__ == "__main__":
    main()
