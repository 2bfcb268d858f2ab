"""The product against a plain loop: output tokens a second of one engine, on the same trees.

    python tests/bench/throughput.py --pairs 3
    python tests/bench/throughput.py --pairs 5 --fanouts 8,3,2,1 --max-tokens 64,96 --json

Each side runs in a process of its own, by turns, because vLLM allows one engine a process and
machines are noisy: only the two sides of a pair are compared.

product  the run as `generate` does it: LocalPool, VllmEngine, curation, Parquet, commits.
plain    one `LLM.generate` a level with all prompts of that level, and nothing written.

Both get the same engine arguments, prompts as token ids, sampling and seeds, so they write nearly
the same texts. Curation keeps everything, so both trees have the same nodes. A side's time is that
of its generation alone: loading and a first request are over when it begins. Tokens are those
sampled, terminators included.

cpu_ratio compares output tokens a second of CPU time of the whole process instead: a machine that
is busy with other work disturbs it less. There `--cpus 1` is wise too, because threads of an engine
that wait for each other at every step suffer most from company.

prompt_ratio is the prompt tokens computed (asked for, less what the prefix cache served) over the
tokens of the trie of all prompts, at the KV size that is shown. Two effects pull at it: a cache of
whole blocks computes the last, part-filled block of a prompt again for each child, and a parent's
own turn is in the trie but was computed when it was sampled. So it may fall below 1; what it is
good for is the comparison of the two sides.
"""

import argparse
import json
import logging
import os
import statistics
import subprocess
import sys
import time
from itertools import takewhile

TARGET = 0.95
SIDES = ("product", "plain")


def main() -> None:
    args = arguments()
    if args.side:
        print(json.dumps(run_side(args)))
        return
    pairs = [run_pair(args, number) for number in range(args.pairs)]
    result = summary(args, pairs)
    print(json.dumps(result, indent=1) if args.json else table(result))
    sys.exit(0 if result["passed"] else 1)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pairs", type=int, default=3, help="how often each side runs")
    parser.add_argument("--trees", type=int, default=2)
    parser.add_argument("--fanouts", default="6,3,2,2", help="one a level")
    parser.add_argument("--max-tokens", default="48,64", help="of a user's, of an assistant's turn")
    parser.add_argument("--kv-gib", type=float, default=0.5, help="size of the KV cache")
    parser.add_argument("--max-num-seqs", type=int, default=32, help="the engine's slots")
    parser.add_argument("--cpus", type=int, default=os.cpu_count(), help="the engine's threads")
    parser.add_argument(
        "--trees-per-cohort",
        type=int,
        default=8,
        help="fewer than --trees: the product has several small waves in flight",
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--side", choices=SIDES, help="one side in this process, as JSON")
    return parser.parse_args()


# The pairs.


def run_pair(args: argparse.Namespace, number: int) -> dict:
    """Both sides one after the other; which is first changes from pair to pair."""
    order = SIDES if number % 2 == 0 else SIDES[::-1]
    pair = {side: run_apart(side) for side in order}
    rates = {side: pair[side]["tokens_per_s"] for side in SIDES}
    pair["ratio"] = round(rates["product"] / rates["plain"], 4)
    efficiency = {side: pair[side]["output_tokens"] / pair[side]["cpu_s"] for side in SIDES}
    pair["cpu_ratio"] = round(efficiency["product"] / efficiency["plain"], 4)
    print(f"pair {number + 1} of {args.pairs}: {rates}, {pair['ratio']}", file=sys.stderr)
    return pair


def run_apart(side: str) -> dict:
    command = [sys.executable, __file__, *sys.argv[1:], "--side", side]
    # vLLM compiles some functions even in eager mode, and the product switches that off on CPUs.
    environment = os.environ | {"TORCHDYNAMO_DISABLE": "1"}
    done = subprocess.run(command, stdout=subprocess.PIPE, env=environment, check=True, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def summary(args: argparse.Namespace, pairs: list[dict]) -> dict:
    ratios = [pair["ratio"] for pair in pairs]
    median = statistics.median(ratios)
    return {
        "target": TARGET,
        "passed": median >= TARGET,
        "median_ratio": round(median, 4),
        "median_cpu_ratio": round(statistics.median(pair["cpu_ratio"] for pair in pairs), 4),
        "lowest_ratio": min(ratios),
        "highest_ratio": max(ratios),
        "settings": {name: value for name, value in vars(args).items() if name != "side"},
        "pairs": pairs,
    }


def table(result: dict) -> str:
    columns = ("tokens_per_s", "output_tokens", "seconds", "cpu_s", "prompt_computed")
    columns += ("prompt_trie", "prompt_ratio")
    lines = [f"{'':<16}" + "".join(f"{name:>17}" for name in columns)]
    for number, pair in enumerate(result["pairs"], start=1):
        for side in SIDES:
            cells = "".join(f"{pair[side][name]:>17}" for name in columns)
            lines.append(f"{number:>2} {side:<13}{cells}")
    spread = f"{result['lowest_ratio']} to {result['highest_ratio']}"
    verdict = "meets" if result["passed"] else "MISSES"
    lines.append(f"product / plain: median {result['median_ratio']} ({spread}), {verdict} {TARGET}")
    lines.append(f"the same by CPU time: median {result['median_cpu_ratio']}")
    lines.append(f"KV cache {result['settings']['kv_gib']} GiB")
    return "\n".join(lines)


# One side.


def run_side(args: argparse.Namespace) -> dict:
    from jobs.wiring import resolve

    logging.basicConfig(level=logging.WARNING)
    spec = make_spec(args)
    run_file = resolve(spec).run_file
    measured = (run_product if args.side == "product" else run_plain)(spec, run_file)
    prompts = measured.pop("prompts")
    trie = trie_tokens(prompts)
    return measured | {
        "tokens_per_s": round(measured["output_tokens"] / measured["seconds"], 2),
        "seconds": round(measured["seconds"], 2),
        "prompts": len(prompts),
        "prompt_trie": trie,
        "prompt_ratio": round(measured["prompt_computed"] / trie, 3),
    }


def make_spec(args: argparse.Namespace):
    from jobs.spec_file import parse_spec

    user, assistant = map(int, args.max_tokens.split(","))
    levels = [
        {"role": "user", "max_tokens": user, "temperature": 0.9, "top_p": 0.95},
        {"role": "assistant", "max_tokens": assistant, "temperature": 0.6, "top_p": 0.9},
    ]
    fanouts = map(int, args.fanouts.split(","))
    group = {
        "model": "packaged",
        "cpus": args.cpus,
        "max_num_seqs": args.max_num_seqs,
        "max_num_batched_tokens": 2048,
        "kv_cache_gib": args.kv_gib,
    }
    content = {
        "generation": {
            "seed": args.seed,
            "model": {"name": "SmolLM2-135M-Instruct", "context": 1024},
            "roots": {"trees": args.trees, "topics": TOPICS},
            "levels": [
                levels[i % 2] | {"fanout": fanout, "oversample": 1}
                for i, fanout in enumerate(fanouts)
            ],
            "curation": {"filters": [], "duplicates": "keep"},
            "bounds": {"trees_per_cohort": args.trees_per_cohort},
        },
        "execution": {
            "location": "memory://bench-throughput",
            "pool": "local",
            "engines": {"main": group},
        },
    }
    return parse_spec(content, name="the benchmark")


class Clock:
    """Wall time, and the CPU time of all threads of this process."""

    def __init__(self) -> None:
        self._wall, self._cpu = time.perf_counter(), time.process_time()

    def passed(self) -> dict[str, float]:
        wall, cpu = time.perf_counter() - self._wall, time.process_time() - self._cpu
        return {"seconds": wall, "cpu_s": round(cpu, 2)}


TOPICS = [
    {
        "text": "A chat between a curious user and a helpful assistant. The user asks one short "
        "question about nature, history or everyday science, and the assistant answers in a few "
        "sentences."
    },
    {
        "text": "A chat between a student and a friendly teacher. The student asks one short "
        "question and the teacher explains it simply, in a few sentences."
    },
]


def trie_tokens(prompts: list[tuple[int, ...]]) -> int:
    """Distinct prefixes: of sorted prompts, each adds what it does not share with the last."""
    total, last = 0, ()
    for prompt in sorted(prompts):
        same = (a == b for a, b in zip(prompt, last, strict=False))
        total += len(prompt) - sum(takewhile(bool, same))
        last = prompt
    return total


def run_product(spec, run_file) -> dict:
    """The run that `arborist generate` does, from the first wave to the last commit."""
    from contextlib import nullcontext

    from bench_watch import Silent

    from jobs.curation import make_workers
    from jobs.whereabouts import here, is_gone
    from jobs.wiring import make_pool, pace_of, resolve
    from pipeline.generate import Attempt, Hands
    from pipeline.outlook import Limits
    from pipeline.share import Clocks, Share
    from pipeline.storage.ledger import Ledger
    from pipeline.storage.open import join, open_store
    from pipeline.storage.runs import create_run

    store = open_store(join(spec.execution.location, run_file.run_id))
    create_run(store, run_file)
    resolved = resolve(spec)
    pool = make_pool(spec, run_file)
    hands = Hands(pool, make_workers(spec, run_file), resolved.plant)
    run = resolved.run
    try:
        pool.start()
        hands.workers.start()
        warm_up(pool, run)
        prompts = record_prompts(pool)
        before = only_engine(pool)
        share = Share(store, here("bench", spec.execution.claim_s), is_gone, Clocks(time.time))
        attempt = Attempt(
            run, ledger=Ledger(store), share=share, pace=pace_of(spec), watch=Silent()
        )
        begun, driver = Clock(), time.thread_time()
        limits = Limits(0.0, spec.execution.budget)
        attempt.generate(lambda: nullcontext(hands), {}, limits)
        times, driver = begun.passed(), time.thread_time() - driver
        after = only_engine(pool)
    finally:
        hands.workers.close()
        pool.close()
    asked, cached = (
        getattr(after, name) - getattr(before, name) for name in ("prompt_tokens", "cached_tokens")
    )
    return times | {
        "output_tokens": after.tokens - before.tokens,
        "steps": after.steps - before.steps,
        "driver_cpu_s": round(driver, 3),
        "prompt_computed": asked - cached,
        "prompts": prompts,
    }


def warm_up(pool, run) -> None:
    """A first request, with a prompt that shares nothing with the trees'."""
    from schemas.records import Request, Sampling, to_ids

    prompt = to_ids(WARM_UP)
    pool.submit([Request("warm-up", "warm-up", 0, 1, prompt, Sampling(max_tokens=8))])
    while not pool.collect(1.0):
        pass


WARM_UP = list(range(1000, 1040))


def record_prompts(pool) -> list[tuple[int, ...]]:
    """A list that grows with all that is submitted from now on."""
    prompts: list[tuple[int, ...]] = []
    submit = pool.submit

    def recording(requests) -> None:
        prompts.extend(tuple(request.prompt.tolist()) for request in requests)
        submit(requests)

    pool.submit = recording
    return prompts


def only_engine(pool):
    (stats,) = pool.stats().engines.values()
    return stats


def run_plain(spec, run_file) -> dict:
    """What a person would write: a list of prompts, one call, the prompts of the next level."""
    from jobs.wiring import open_run_value
    from pipeline.tree.frontier import root_parents

    run = open_run_value(run_file)
    llm = load_plain(spec)
    llm.generate([{"prompt_token_ids": WARM_UP}], use_tqdm=False)
    prompts, tokens, computed = [], 0, 0
    begun = Clock()
    parents = root_parents(run, range(spec.generation.roots.trees))
    for level in range(1, len(spec.generation.levels) + 1):
        outputs, parents = grow_plain(llm, run, level, parents, prompts)
        tokens += sum(len(output.outputs[0].token_ids) for output in outputs)
        computed += sum(len(o.prompt_token_ids) - (o.num_cached_tokens or 0) for o in outputs)
    return begun.passed() | {
        "output_tokens": tokens,
        "prompt_computed": computed,
        "prompts": prompts,
    }


def load_plain(spec):
    """The same engine arguments; `LLM` adds nothing of its own that matters here."""
    from jobs.wiring import model_location
    from pipeline.engines.vllm_settings import VllmConfig, engine_args, set_environment

    group = spec.execution.engines["main"]
    config = VllmConfig(
        model=model_location(group.model),
        context=spec.generation.model.context,
        dtype=spec.generation.model.dtype,
        max_num_seqs=group.max_num_seqs,
        max_num_batched_tokens=group.max_num_batched_tokens,
        kv_cache_gib=group.kv_cache_gib,
        cpus=group.cpus,
    )
    set_environment(config)
    import torch
    from vllm import LLM

    torch.set_num_threads(config.num_threads)
    return LLM(**engine_args(config, on_cpu=True, seed=0))


def grow_plain(llm, run, level: int, parents: list, prompts: list):
    """One level: a prompt a child, because only so each child says what the cache served it."""
    from pipeline.tree.expand import expand
    from pipeline.tree.frontier import Parent
    from pipeline.tree.identity import node_id
    from pipeline.tree.prompt import remember
    from schemas.records import Candidate, to_ids

    rule = run.recipe.rule(run.spec, level)
    requests = expand(run, "plain", parents, rule)
    prompts.extend(tuple(request.prompt.tolist()) for request in requests)
    asked = [(p, r, i) for p, r in zip(parents, requests, strict=True) for i in range(r.n)]
    outputs = llm.generate(
        [{"prompt_token_ids": request.prompt.tolist()} for _, request, _ in asked],
        [plain_params(request, index) for _, request, index in asked],
        use_tqdm=False,
    )
    children = []
    for (parent, _, index), output in zip(asked, outputs, strict=True):
        ids = to_ids(list(output.outputs[0].token_ids))
        if output.outputs[0].finish_reason == "stop":
            ids = ids[:-1]
        path = (*parent.path, index)
        own = node_id(run.run_id, parent.tree_id, path)
        said = Candidate(parent.tree_id, own, parent.node_id, path, rule.role, ids, "")
        history = remember(parent.history, parent.role, said, run.dialect)
        children.append(Parent(parent.tree_id, own, path, rule.role, history))
    return outputs, children


def plain_params(request, index: int):
    """The same sampling; everything else as vLLM has it by default."""
    from vllm import SamplingParams

    sampling = request.sampling
    return SamplingParams(
        max_tokens=sampling.max_tokens,
        temperature=sampling.temperature,
        top_p=sampling.top_p,
        stop=list(sampling.stop_strings),
        stop_token_ids=list(sampling.stop_ids),
        logprobs=None if sampling.logprobs == "none" else 0,
        seed=(request.seed + index) % 2**63,
        skip_special_tokens=False,
    )


if __name__ == "__main__":
    main()
