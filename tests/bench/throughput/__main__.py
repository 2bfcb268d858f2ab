"""The product against a plain loop and its peers: output tokens a second of one engine.

    python -m tests.bench.throughput
    python -m tests.bench.throughput --scenario small-1 --arms plain,product --pairs 5 --json
    python -m tests.bench.throughput --model DIR --device gpu --slots 256 --wave 64 --out FILE

Arms, each in a process of its own for every run, by turns, because vLLM allows one engine a process
and machines are noisy: only the arms of one round (a pair, with `plain`) are compared.

plain         one `LLM.generate` a level with all prompts of that level, and nothing written
product       the run as `generate` does it: LocalPool, VllmEngine, workers, curation, Parquet,
              commits to files; its verdicts are made and then overruled, so that nothing is dropped
ceiling       one `LLM.generate` of everything, whose prompts the plain loop has told
transformers  `model.generate` in batches of as many as there are slots, level by level
server        vLLM's own server and an asynchronous client, without any barrier
ray-data      Ray Data with an actor that holds vLLM, a pass a level

Each round grows trees of another seed. Scenarios: `balance`, levels of four times the slots and
more; `small-1` and `small-4`, one tree and four of them of fan-out 8,2,2,2 with 32 slots, where
lengths spread. With `--sigma` above 0 every
turn has a length that belongs to its place in the tree, log-normal with that spread and a mean of
`--mean` tokens, and no turn ends before or after: so all arms write exactly as many tokens. With
`--sigma 0` turns end where the model ends them, and the arms write nearly the same texts.

All get the same engine arguments, prompts as token ids, sampling, and (but for transformers)
seeds. Time is that of generation alone: loading and a first request are over when it begins; for
`ray-data`, which loads at each level, see tokens_per_s_with_start in the JSON.

tok/s       output tokens a second, terminators included
cpu s       CPU time of all processes of the arm, in the time of generation
computed    prompt tokens computed (asked for, less what a cache served) over those of the trie of
            all prompts. Two effects pull at it: a cache of whole blocks computes the last,
            part-filled block of a prompt again for each child, and a parent's own turn is in the
            trie but was computed when it was sampled. So it may fall below 1
short       share of the time in which fewer turns ran than slots, or than were unfinished
held back   the same, but turns whose parents are unfinished are not counted as any that could run
filled      of all slots in all the time, those in use
tails       by level, seconds from where 90 % of its turns are finished to its last
Turns that a server runs are not seen, but taken from its open requests.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, TextIO

from tests.bench.throughput.machine import environment, facts, found_device, kv_gib
from tests.bench.throughput.setup import ARMS, SCENARIOS, SETTINGS, Setup
from tests.bench.throughput.summary import passed, summary, table

ROOT = Path(__file__).parents[3]


def main() -> None:
    args = arguments()
    # Arms are ended on the way out.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    result: dict[str, Any] = {"machine": facts(), "scenarios": {}}
    with tempfile.TemporaryDirectory() as folder:
        runner = Runner(Path(folder), args.limit_s)
        for name in args.scenario:
            setup = setup_of(name, args)
            rounds: list[dict[str, Any]] = []
            for number in range(args.pairs):
                grown = replace(setup, seed=setup.seed + number)
                rounds.append(one_round(grown, arms_of(name, args), number, runner))
                result["scenarios"][name] = summary(setup, rounds)
                write(result, args)
    print(json.dumps(result, indent=1) if args.json else table(result))
    sys.exit(0 if passed(result) else 1)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench.throughput",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--scenario", type=names_of(SCENARIOS), default=list(SCENARIOS))
    parser.add_argument("--arms", type=names_of(ARMS), help="those of the scenario if not given")
    parser.add_argument("--pairs", type=int, default=3, help="rounds: how often each arm runs")
    parser.add_argument("--limit-s", type=float, default=1800.0, help="for one run of an arm")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--out", type=Path, help="write the same JSON here after each round")
    engine = parser.add_argument_group("the engine")
    engine.add_argument("--model", default="packaged", help="a directory, or `packaged`")
    engine.add_argument("--device", choices=("cpu", "gpu"), help="what vLLM was built for")
    engine.add_argument("--dtype", default="auto")
    engine.add_argument("--cpus", type=int, default=os.cpu_count(), help="the engine's threads")
    engine.add_argument("--slots", type=int, help="sequences decoded at once")
    engine.add_argument("--kv-gib", type=float, help="size of the KV cache")
    engine.add_argument("--batched-tokens", type=int, help="of one step, prompts included")
    engine.add_argument("--concurrency", type=int, help="of the server's client; 2 x slots")
    trees = parser.add_argument_group("the trees; what is not given is the scenario's own")
    trees.add_argument("--trees", type=int)
    trees.add_argument("--fanouts", type=numbers, help="one a level: 8,2,2,2")
    trees.add_argument("--wave", type=int, help="the product's candidates_per_wave")
    trees.add_argument("--sigma", type=float, help="of log-lengths; 0: natural ends")
    trees.add_argument("--mean", type=int, help="tokens of a turn")
    trees.add_argument("--longest", type=int, help="tokens of a turn")
    trees.add_argument("--seed", type=int, help="of the first round; each grows trees of its own")
    return parser.parse_args()


def names_of(known: Any) -> Any:
    """What an option takes: some of these, in this order."""

    def some(text: str) -> list[str]:
        asked = text.split(",")
        if unknown := sorted(set(asked) - set(known)):
            raise argparse.ArgumentTypeError(f"{unknown}: expected some of {', '.join(known)}")
        return [name for name in known if name in asked]

    return some


def numbers(text: str) -> tuple[int, ...]:
    """What an option takes: one a level."""
    return tuple(map(int, text.split(",")))


def setup_of(name: str, args: argparse.Namespace) -> Setup:
    """A scenario, and what the command line says instead."""
    said = {one: value for one in SETTINGS if (value := getattr(args, one)) is not None}
    settings = {"device": found_device(), **SCENARIOS[name].shape, **said}
    settings.setdefault("concurrency", 2 * settings["slots"])
    settings.setdefault("kv_gib", kv_gib(settings["device"]))
    return Setup(scenario=name, **settings)


def arms_of(name: str, args: argparse.Namespace) -> list[str]:
    """In their order; `plain` is always among them."""
    asked = {"plain", *(args.arms or SCENARIOS[name].arms)}
    return [arm for arm in ARMS if arm in asked]


def one_round(setup: Setup, arms: list[str], number: int, runner: "Runner") -> dict[str, Any]:
    """Each arm once. Which is first changes from round to round; the ceiling comes last where it
    would come before the plain loop, which tells it all prompts."""
    first = number % len(arms)
    order = arms[first:] + arms[:first]
    if "ceiling" in order and order.index("ceiling") < order.index("plain"):
        order = [arm for arm in order if arm != "ceiling"] + ["ceiling"]
    figures = {arm: runner.run(setup, arm) for arm in order}
    rates = {arm: figures[arm].get("tokens_per_s", "failed") for arm in arms}
    print(f"{setup.scenario}, round {number + 1}: {rates}", file=sys.stderr, flush=True)
    return {arm: figures[arm] for arm in arms}


class Runner:
    """Runs arms, each in a process of its own."""

    def __init__(self, folder: Path, limit_s: float) -> None:
        self._folder, self._limit_s = folder, limit_s

    def run(self, setup: Setup, arm: str) -> dict[str, Any]:
        """Its figures; an arm that fails says why, and the others go on."""
        job, result, said = (self._folder / name for name in ("job", "result", "said"))
        told = {
            "replay": str(self._folder / f"{setup.scenario}-{setup.seed}"),
            "result": str(result),
        }
        job.write_text(json.dumps({"arm": arm, "setup": setup.to_json(), **told}))
        result.unlink(missing_ok=True)
        with said.open("w") as stream:
            failure = self._wait(job, stream, environment(setup.device))
        if result.exists():
            return json.loads(result.read_text())
        return {"failed": f"{failure}: {said.read_text()[-2000:]}"}

    def _wait(self, job: Path, said: TextIO, more: Mapping[str, str]) -> str:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.bench.throughput.arm", str(job)],
            stdout=said,
            stderr=said,
            env=os.environ | more,
            cwd=ROOT,
        )
        try:
            return f"exit code {process.wait(self._limit_s)}"
        except subprocess.TimeoutExpired:
            # It ends what it has started itself.
            process.terminate()
            process.wait()
            return f"not done after {self._limit_s:g} s"
        finally:
            if process.poll() is None:
                process.terminate()
                process.wait()


def write(result: dict[str, Any], args: argparse.Namespace) -> None:
    """What is known so far, so that a run that is stopped leaves it."""
    if args.out:
        args.out.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
