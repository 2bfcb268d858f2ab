"""The benchmarks on one GPU, in so many minutes, and all that they found as one JSON file.

    python -m tests.bench.gpu --model DIR --out gpu.json
    python -m tests.bench.gpu --model DIR --dry-run

Of two kinds are its steps, each in processes of its own:

throughput  a pair of `python -m tests.bench.throughput`: the run against the plain loop
trial       a setting of the engine, by short batches (`pipeline.engines.timing`): the core in this
            process or in one of its own, CUDA graphs or none, how many sequences, and so on

Every kind of pair comes once and the most telling trials too; what time is left goes to more pairs
and further trials by turns. A step that would not fit any more, as long as its like took before,
is left out and named. Trials say how fast vLLM is under a setting, and nothing of what is lost in
between; compare them with the first one, `as it is`.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import chain, cycle
from pathlib import Path
from typing import Any, NamedTuple

SCENARIOS = {"small-1": (1 / 32, 1 / 4), "small-4": (4 / 32, 1 / 4), "balance": (2 / 16, 4)}
"""By name, trees and candidates a wave for each of the engine's slots: levels are small, or large,
beside the slots of this GPU as they are beside those of a CPU."""
ARMS = "product,plain"
RATIO = "product / plain"
FIRST_TRIALS = ("as it is", "separate core")
GUESS_S = {"throughput": 150.0, "trial": 75.0}
"""What a step takes, before the first of its kind is over; most of it is loading."""
RESERVE = 1.15
"""So much longer than its like a step may take."""

SEQUENCES, PROMPT, TOKENS = 1024, 64, 128
"""Of a batch of a trial."""
CONTEXT = 4096

TRIALS: dict[str, dict[str, Any]] = {
    "as it is": {},
    "separate core": {"environment": {"VLLM_ENABLE_V1_MULTIPROCESSING": "1"}},
    "no CUDA graphs": {"args": {"enforce_eager": True}},
    "256 sequences": {"config": {"max_num_seqs": 256}},
    "512 sequences": {"config": {"max_num_seqs": 512}},
    "8192 tokens a step": {"config": {"max_num_batched_tokens": 8192}},
    "CUDA graphs to 1024": {"args": {"max_cudagraph_capture_size": 1024}},
    "no scheduling ahead": {"args": {"async_scheduling": False}},
    "performance_mode": {"args": {"performance_mode": "throughput"}},
    "xxhash": {"args": {"prefix_caching_hash_algo": "xxhash"}},
    "blocks of 32": {"args": {"block_size": 32}},
    "the engine's seeds": {"seeded": False},
    "top_p 0.9": {"top_p": 0.9},
}
"""By name, what is other than by default."""


class Step(NamedTuple):
    """One thing to run."""

    kind: str
    name: str


class Done(NamedTuple):
    """One that was run."""

    step: Step
    seconds: float
    found: dict[str, Any]


def main() -> None:
    args = arguments()
    if args.dry_run:
        print("\n".join(" ".join(command) for command in commands(args)))
        return
    gpu = require_gpu()
    begun = time.monotonic()

    def left() -> float:
        return args.minutes * 60 - (time.monotonic() - begun)

    def run_one(step: Step) -> Done:
        done = run(step, args, left())
        print(told(done), file=sys.stderr, flush=True)
        return done

    done, left_out = run_all(run_one, left)
    result = summary(args, gpu, done, left_out)
    Path(args.out).write_text(json.dumps(result, indent=1))
    print(table(result))


def arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", required=True, help="a directory with a model")
    parser.add_argument("--minutes", type=float, default=9.5, help="in all")
    parser.add_argument("--slots", type=int, default=256, help="of the pairs' engines")
    parser.add_argument("--kv-gib", type=float, help="of the pairs' engines")
    parser.add_argument("--out", default="gpu.json")
    parser.add_argument("--dry-run", action="store_true", help="print the pairs' commands only")
    return parser.parse_args(argv)


# What is run, in which order, and for how long.


def plan() -> Iterator[Step]:
    """Endless: what must be there, then more of it."""
    trials = iter([name for name in TRIALS if name not in FIRST_TRIALS])
    pairs = [Step("throughput", name) for name in SCENARIOS]
    yield from chain([Step("trial", name) for name in FIRST_TRIALS], pairs)
    for pair in cycle(pairs):
        for name in [name for name in (next(trials, None),) if name]:
            yield Step("trial", name)
        yield pair


def run_all(
    run_one: Callable[[Step], Done], left: Callable[[], float]
) -> tuple[list[Done], list[Step]]:
    """What was run in the time that is left, and what was left out for want of it."""
    done: list[Done] = []
    left_out: list[Step] = []
    missed = 0
    for step in plan():
        if fits(step, done, left()):
            done.append(run_one(step))
            missed = 0
            continue
        left_out.append(step)
        missed += 1
        # By then each kind of pair was tried, and a trial if there was one.
        if missed > 2 * len(SCENARIOS):
            break
    return done, left_out


def fits(step: Step, done: Sequence[Done], left_s: float) -> bool:
    """Whether there is time for a step, by what the longest of its like took."""
    same = [one.seconds for one in done if one.step == step]
    like = [one.seconds for one in done if one.step.kind == step.kind]
    longest = max(same or like or [GUESS_S[step.kind]])
    return longest * RESERVE <= left_s


def commands(args: argparse.Namespace) -> list[list[str]]:
    return [throughput_command(args, name, "OUT.json") for name in SCENARIOS]


def throughput_command(args: argparse.Namespace, scenario: str, out: str) -> list[str]:
    command = [sys.executable, "-m", "tests.bench.throughput", "--model", args.model]
    command += ["--scenario", scenario, "--arms", ARMS, "--pairs", "1"]
    trees, wave = (max(1, round(args.slots * part)) for part in SCENARIOS[scenario])
    command += ["--slots", str(args.slots), "--trees", str(trees), "--wave", str(wave)]
    command += ["--kv-gib", f"{args.kv_gib:g}"] if args.kv_gib else []
    return [*command, "--json", "--out", out]


def trial_settings(model: str, name: str) -> dict[str, Any]:
    """Of `pipeline.engines.timing`."""
    changed = TRIALS[name]
    config = {"model": model, "context": CONTEXT, "gpus": 1, "args": changed.get("args", {})}
    rest = {key: value for key, value in changed.items() if key not in ("config", "args")}
    return {
        "config": config | changed.get("config", {}),
        "sequences": SEQUENCES,
        "prompt": PROMPT,
        "tokens": TOKENS,
        **rest,
    }


def run(step: Step, args: argparse.Namespace, left_s: float) -> Done:
    begun = time.monotonic()
    if step.kind == "trial":
        from jobs.engine_trials import try_settings

        found = try_settings(trial_settings(args.model, step.name), left_s)
    else:
        found = run_pair(args, step.name, left_s)
    return Done(step, round(time.monotonic() - begun, 1), found)


def run_pair(args: argparse.Namespace, scenario: str, left_s: float) -> dict[str, Any]:
    from jobs.engine_trials import run_apart

    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "pair.json"
        done = run_apart(throughput_command(args, scenario, str(out)), left_s)
        if done is None:
            return {"error": f"not done after {left_s:.0f} s"}
        if out.exists():
            # A pair that misses its target ends with another code than 0, and is a result too.
            return json.loads(out.read_text())
        return {"error": done.stderr.strip()[-2000:] or f"ended with {done.returncode}"}


def require_gpu() -> dict[str, Any]:
    """The GPU, the driver and the versions; ends with a sentence where there is none."""
    from pipeline.engines.distribution import require_one_vllm
    from schemas.errors import EnvironmentMismatch

    try:
        installed = require_one_vllm()
    except EnvironmentMismatch as error:
        sys.exit(f"gpu: {error}")
    look = (
        "import json, torch; there = torch.cuda.is_available(); "
        "one = torch.cuda.get_device_properties(0) if there else None; "
        "print(json.dumps({'gpu': one.name, 'memory': one.total_memory, "
        "'cuda': torch.version.cuda, 'torch': torch.__version__} if there else {}))"
    )
    looked = subprocess.run(
        [sys.executable, "-c", look], capture_output=True, text=True, check=False
    )
    found = json.loads(looked.stdout.splitlines()[-1]) if looked.returncode == 0 else {}
    if not found or installed.distribution != "vllm":
        sys.exit(
            f"gpu: found {found.get('gpu', 'no GPU')} and {installed.distribution} "
            f"{installed.version}; expected a GPU that torch sees, and vllm for CUDA "
            '(pip install "arborist[gpu]"). For CPUs there is `python -m tests.bench.throughput`.'
        )
    return found | {"vllm": installed.version}


# What came of it.


def summary(
    args: argparse.Namespace, gpu: dict[str, Any], done: Sequence[Done], left_out: Sequence[Step]
) -> dict[str, Any]:
    never = [step.name for step in left_out if step not in {one.step for one in done}]
    return {
        "gpu": gpu,
        "settings": vars(args),
        "seconds": round(sum(one.seconds for one in done), 1),
        "left_out": sorted(set(never)),
        "trials": {one.step.name: one.found for one in done if one.step.kind == "trial"},
        "pairs": {
            name: [one.found for one in done if one.step == Step("throughput", name)]
            for name in SCENARIOS
        },
    }


def told(done: Done) -> str:
    said = done.found.get("error", "").splitlines()[-1:] or ["done"]
    return f"{done.step.kind} {done.step.name}: {done.seconds:.0f} s, {said[0]}"


def table(result: dict[str, Any]) -> str:
    trials = result["trials"]
    base = trials.get("as it is", {}).get("median")
    lines = [f"{result['gpu'].get('gpu')}, vllm {result['gpu'].get('vllm')}"]
    for name, found in trials.items():
        rate = found.get("median")
        beside = f"{rate / base:7.3f}" if rate and base else ""
        lines.append(f"{name:<22} {rate or found.get('error', '')!s:>10} tokens/s {beside}")
    lines += [_pairs_row(name, pairs) for name, pairs in result["pairs"].items()]
    if result["left_out"]:
        lines.append(f"left out for want of time: {', '.join(result['left_out'])}")
    return "\n".join(lines)


def ratios(scenario: str, pairs: Sequence[dict[str, Any]]) -> list[float]:
    """Of those pairs that were done."""
    known = (pair.get("scenarios", {}).get(scenario, {}).get("ratios", {}) for pair in pairs)
    return sorted(one[RATIO]["median"] for one in known if RATIO in one)


def _pairs_row(scenario: str, pairs: Sequence[dict[str, Any]]) -> str:
    found = ratios(scenario, pairs)
    if not found:
        return f"{scenario:<22} {RATIO}: no pair was done"
    spread = f"({found[0]:.3f} to {found[-1]:.3f}, {len(found)} pairs)"
    return f"{scenario:<22} {RATIO}: {statistics.median(found):.3f} {spread}"


if __name__ == "__main__":
    main()
