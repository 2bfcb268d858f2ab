"""How many engines one driver keeps at work: a run over paced engines, by a real clock.

    python tests/bench/driver_feed.py --engines 64
    python tests/bench/driver_feed.py --engines 64 256 --rate 10000 --tokens 200 --json

Scripted engines are threads of this process. Each has `--slots` sequences and takes real time for
its steps, so that it writes `--rate` tokens a second when all slots are taken, and less when the
driver is late with work. Everything else is the run as it is: claims, curation, Parquet, commits to
files behind the latencies of an object store. The run is watched for `--seconds` after `--warm` and
then dropped.

fed           share of all slots that were taken, over the window: 1 is a driver that is never late
nodes/s       candidates that were committed in the window; `asked for` is what full engines make
cpu_us        CPU time of the driver's threads a candidate that was collected
pool_us       the part of it spent on looking at engines, feeding them and taking outcomes in
busy          share of the window in which the driver's own thread computed
committing    CPU time of the threads that commit, over the window
turns/s       turns of the driver's loop

The engines' own work (`engines_busy`) runs in the same interpreter and takes turns with the
driver, one at a time, so what is found here is less than what a driver feeds whose engines are
other processes; what those cost on top is measured by `ray_cost.py`.
"""

import argparse
import json
import logging
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from functools import partial
from typing import NamedTuple

SIGMA = 0.5


def main() -> None:
    args = arguments()
    if args.alone:
        print(json.dumps(measure(args)))
        return
    runs = [measure_apart(engines) for engines in args.engines]
    print(json.dumps({"runs": runs}, indent=1) if args.json else table(runs))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--engines", type=int, nargs="+", default=[64])
    parser.add_argument("--rate", type=float, default=10_000, help="tokens/s of a full engine")
    parser.add_argument("--tokens", type=int, default=200, help="mean length of a turn")
    parser.add_argument("--slots", type=int, default=256, help="sequences at once")
    parser.add_argument("--step-tokens", type=int, default=1, help="tokens a sequence and step")
    parser.add_argument("--wave", type=int, default=512, help="candidates a wave")
    parser.add_argument(
        "--folder", default="/dev/shm", help="where shards are committed; default: in memory"
    )
    parser.add_argument("--put-ms", type=float, default=30.0, help="that a create waits before it")
    parser.add_argument("--get-ms", type=float, default=15.0, help="the same of reads and lists")
    parser.add_argument("--profile", metavar="FILE", help="write a cProfile of the driver's thread")
    parser.add_argument("--warm", type=float, default=20.0, help="seconds before the window")
    parser.add_argument("--seconds", type=float, default=20.0, help="length of the window")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--alone", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


def measure_apart(engines: int) -> dict:
    """One number of engines in a process of its own."""
    command = [sys.executable, __file__, *sys.argv[1:], "--alone", "--engines", str(engines)]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True)
    return json.loads(done.stdout)


def content(args: argparse.Namespace, engines: int, location: str) -> dict:
    """A spec of far more nodes than will be grown."""
    from driver import levels

    scripted = {
        "max_num_seqs": args.slots,
        "step_s": args.slots * args.step_tokens / args.rate,
        "tokens_per_step": args.step_tokens,
        "mean_tokens": args.tokens,
        "sigma": SIGMA,
        "duplicate_share": 0.02,
    }
    group = {
        "backend": "scripted",
        "replicas": engines,
        "loading": engines,
        "max_num_seqs": args.slots,
        "scripted": scripted,
    }
    return {
        "generation": {
            "model": {"name": "scripted", "context": 1 << 20},
            "roots": {"trees": 1_000_000, "topics": [{"text": "A chat about science."}]},
            "levels": levels(),
            "curation": {"diversity": None},
            "bounds": {"candidates_per_wave": args.wave},
        },
        "execution": {
            "location": location,
            "pool": "local",
            "embedder": "hashing",
            "workers": 1,
            "engines": {"main": group},
        },
    }


class Moment(NamedTuple):
    """What the driver has used and done until now."""

    wall: float
    thread: float
    committing: float
    process: float
    committed: int
    collected: int
    turns: int
    pool: float
    engine: float


class Window:
    """A watch that looks at a part of a run, and then drops it."""

    def __init__(self, warm_s: float, seconds: float, slots: int, steps) -> None:
        self._warm_s, self._seconds, self._slots, self._steps = warm_s, seconds, slots, steps
        self._committed = self._turns = 0
        self._begun = time.perf_counter()
        self.collected = 0
        self.taken: list[float] = []
        """Share of the slots, at each turn of the loop, and how long it lasted."""
        self.open_waves: list[int] = []
        self._last = self._begun
        self._weights: list[float] = []
        self.first: Moment | None = None
        self.last: Moment | None = None

    def committed(self, manifest, *, ours: bool) -> None:
        self._committed += manifest.counts.asked

    def landed(self, seconds: float) -> None:
        pass

    def tick(self, stats, *, open_waves: int) -> None:
        self._turns += 1
        now = time.perf_counter()
        if self.first is None and now - self._begun >= self._warm_s:
            self.first = self._moment(now)
        elif self.first is not None and self.last is None:
            running = sum(one.running for one in stats.engines.values())
            self.taken.append(running / (self._slots * len(stats.engines)))
            self._weights.append(now - self._last)
            self.open_waves.append(open_waves)
            if now - self.first.wall >= self._seconds:
                self.last = self._moment(now)
        self._last = now

    def waits(self, others) -> None:
        """Nobody else is there."""

    def stop(self):
        from pipeline.watch import Stop

        return Stop.ABANDON if self.last is not None else Stop.NO

    def _moment(self, now: float) -> Moment:
        return Moment(
            now,
            time.thread_time(),
            sum(self._steps.committing.values()),
            time.process_time(),
            self._committed,
            self.collected,
            self._turns,
            self._steps.of_driver.get("pool", 0.0),
            self._steps.seconds("engine"),
        )

    @property
    def fed(self) -> float:
        total = sum(self._weights)
        return sum(a * b for a, b in zip(self.taken, self._weights, strict=True)) / total


def measure(args: argparse.Namespace) -> dict:
    """One run in this process."""
    from bench_run import opened
    from driver import Steps, profiled
    from slow_store import SlowStore

    from jobs.spec_file import parse_spec
    from schemas.errors import Interrupted

    logging.basicConfig(level=logging.ERROR)
    (engines,) = args.engines
    steps = Steps()
    window = Window(args.warm, args.seconds, args.slots, steps)
    through = SlowStore.before(put_s=args.put_ms / 1e3, get_s=args.get_ms / 1e3)
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        spec = parse_spec(content(args, engines, folder), name="the benchmark")
        steps.watch_engines()
        see = partial(watch, steps, window)
        with opened(spec, window, through=through, see=see) as run:
            window._begun = time.perf_counter()
            with suppress(Interrupted):
                profiled(run.generate, args.profile) if args.profile else run.generate()
    assert window.first is not None, "the run was over before the window began"
    assert window.last is not None, "the run was over before the window was"
    return figures(args, engines, window)


def watch(steps, window: Window, hands) -> None:
    steps.watch_driver(hands)
    inner = hands.pool.collect

    def collect(timeout_s: float):
        outcomes = inner(timeout_s)
        window.collected += len(outcomes)
        return outcomes

    hands.pool.collect = collect


def figures(args: argparse.Namespace, engines: int, window: Window) -> dict:
    gone = Counter(window.last._asdict())
    gone.subtract(window.first._asdict())
    nominal = engines * args.rate / args.tokens
    per_node = 1e6 / max(1, gone["collected"])
    return {
        "engines": engines,
        "rate": args.rate,
        "tokens": args.tokens,
        "wave": args.wave,
        "window_s": round(gone["wall"], 1),
        "asked_for_per_s": round(nominal, 1),
        "collected_per_s": round(gone["collected"] / gone["wall"], 1),
        "committed_per_s": round(gone["committed"] / gone["wall"], 1),
        "fed": round(window.fed, 4),
        "cpu_us": round((gone["thread"] + gone["committing"]) * per_node, 1),
        "pool_us": round(gone["pool"] * per_node, 1),
        "busy": round(gone["thread"] / gone["wall"], 3),
        "committing": round(gone["committing"] / gone["wall"], 3),
        "engines_busy": round(gone["engine"] / gone["wall"], 3),
        "process_busy": round(gone["process"] / gone["wall"], 3),
        "turns_per_s": round(gone["turns"] / gone["wall"], 1),
        "open_waves": round(sum(window.open_waves) / len(window.open_waves), 1),
    }


def table(runs: list[dict]) -> str:
    return "\n".join(
        f"{name:<18}" + "".join(f"{run[name]!s:>12}" for run in runs) for name in runs[0]
    )


if __name__ == "__main__":
    main()
