"""What dropping repeats while the tree grows saves, and what it does to the text. A real model.

    python tests/bench/pruning.py --json

One tree of the packaged chat model, three times with the same filters and lengths (seeds follow
from the settings, so each run samples anew):

plain    every child that passes the filters stays: no dedup, no oversampling, no MMR
pruned   the same, but repeats are dropped, with all that would have grown below them
chosen   as the TG paper does it: oversample by level, drop repeats, keep the best by MMR

Of each: tokens generated, nodes kept, and for each level distinct-n of the kept turns (n-grams that
are new, over all) and the mean cosine of all pairs (by the packaged static embedder; lower is more
diverse). Of `plain` also what dropping repeats would have saved on its very texts: the tokens below
the nodes that would have fallen.
"""

import argparse
import json
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence

import numpy as np

VARIANTS = {
    "plain": {"oversample": False, "curation": {"duplicates": "keep", "diversity": None}},
    "pruned": {"oversample": False, "curation": {"duplicates": "near", "diversity": None}},
    "chosen": {"oversample": True, "curation": {"duplicates": "near"}},
}
LEVELS = (
    {"role": "user", "max_tokens": 48},
    {"role": "assistant", "max_tokens": 192, "temperature": 0.7, "top_p": 0.9},
    {"role": "user", "max_tokens": 48},
    {"role": "assistant", "max_tokens": 192, "temperature": 0.7, "top_p": 0.9},
)
TOPIC = (
    "You are a friendly cook who answers in two or three short sentences. A beginner asks you "
    "questions about food, recipes and cooking."
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--fanouts", default="64,2", help="children kept at each level")
    parser.add_argument("--temperature", type=float, default=0.5, help="of the questions")
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, default=list(VARIANTS))
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    args = parser.parse_args()
    levels = levels_of([int(part) for part in args.fanouts.split(",")], args.temperature)
    found = {name: measure(name, levels) for name in args.variants}
    print(json.dumps(found, indent=1) if args.json else table(found))


def levels_of(fanouts: Sequence[int], temperature: float) -> list[dict]:
    """The levels of the tree."""
    return [
        {**LEVELS[index], "fanout": fanout}
        | ({"temperature": temperature} if index % 2 == 0 else {})
        for index, fanout in enumerate(fanouts)
    ]


def measure(name: str, levels: Sequence[dict]) -> dict:
    """One variant, grown, sealed and looked at."""
    from jobs.generate import generate
    from jobs.spec_file import parse_spec
    from pipeline.storage.reader import read_kept
    from schemas.node_table import from_table

    with tempfile.TemporaryDirectory() as folder, open("/dev/null", "w") as quiet:
        spec = parse_spec(content(VARIANTS[name], levels, folder), name=name)
        begun = time.perf_counter()
        done = generate(spec, quiet)
        seconds = time.perf_counter() - begun
        tables = list(read_kept(done.store, done.snapshot))
    rows = [node.candidate for kept in tables for node in from_table(kept)]
    texts = defaultdict(list)
    for row in rows:
        texts[row.level].append(row.text)
    counts = done.snapshot.counts
    return {
        "saved_tokens": saved(rows),
        "output_tokens": counts.output_tokens,
        "asked": counts.asked,
        "kept": counts.kept,
        "dropped": counts.dropped,
        "tokens_per_kept": round(counts.output_tokens / max(1, counts.kept), 1),
        "seconds": round(seconds, 1),
        "levels": {level: quality(texts[level]) for level in sorted(texts) if level},
    }


def content(variant: dict, levels: Sequence[dict], folder: str) -> dict:
    oversample = {} if variant["oversample"] else {"oversample": 1}
    group = {"model": "packaged", "cpus": 2, "max_num_seqs": 48, "kv_cache_gib": 0.5}
    return {
        "generation": {
            "seed": 5,
            "model": {"name": "SmolLM2-135M-Instruct", "context": 1024},
            "roots": {"trees": 1, "topics": [{"text": TOPIC}]},
            "levels": [{**level, **oversample} for level in levels],
            "curation": variant["curation"],
        },
        "execution": {
            "location": folder,
            "pool": "local",
            "workers": 1,
            "engines": {"main": group},
        },
    }


def saved(rows: Sequence) -> int:
    """Tokens of the kept nodes below those that repeat a sibling, or at level 1 another opening."""
    gone: set[str] = set()
    tokens = 0
    for level in range(1, len(LEVELS) + 1):
        there = [row for row in rows if row.level == level]
        below = [row for row in there if row.parent_id in gone]
        tokens += sum(len(row.token_ids) for row in below)
        gone |= {row.node_id for row in below}
        left = [row for row in there if row.node_id not in gone]
        gone |= {row.node_id for row, kept in zip(left, judge(left), strict=True) if not kept}
    return tokens


def judge(rows: Sequence) -> list[bool]:
    """Whether each row of a level stays, when nothing but repeats falls."""
    from pipeline.curate.curate import curate
    from pipeline.curate.shingles import shingle_sets
    from pipeline.curate.signature import signatures
    from schemas.curation_spec import CurationSpec
    from schemas.measures import Measures

    if not rows:
        return []
    spec = CurationSpec(filters=(), diversity=None)
    signed = signatures(shingle_sets([row.text for row in rows], rows[0].role))
    empty = np.empty((len(rows), 0))
    measures = Measures((), empty.astype(np.float32), signed, empty.astype(np.int8))
    return [
        verdict.kept
        for verdict in curate(rows, measures, fanout=len(rows), compared="cohort", spec=spec)
    ]


def quality(texts: Sequence[str]) -> dict:
    """How different the turns of one level are."""
    words = [text.lower().split() for text in texts]
    return {
        "turns": len(texts),
        **{f"distinct_{n}": round(distinct(words, n), 3) for n in (1, 2, 3)},
        "mean_cosine": round(mean_cosine(texts), 3),
    }


def distinct(texts: Sequence[Sequence[str]], n: int) -> float:
    """Different n-grams over all n-grams."""
    grams = [tuple(text[i : i + n]) for text in texts for i in range(len(text) - n + 1)]
    return len(set(grams)) / max(1, len(grams))


def mean_cosine(texts: Sequence[str]) -> float:
    """Of all pairs of turns."""
    from jobs.prepare_embedder import cached_embedder
    from pipeline.embedders.load import load_embedder

    if len(texts) < 2:
        return float("nan")
    vectors = load_embedder(str(cached_embedder())).embed(texts).astype(np.float64)
    vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    return float((vectors @ vectors.T)[np.triu_indices(len(texts), 1)].mean())


def table(found: dict) -> str:
    """A line a variant, and one for each of its levels."""
    lines = []
    for name, run in found.items():
        drops = ", ".join(f"{n} {reason}" for reason, n in run["dropped"].items())
        lines.append(
            f"{name:<8}{run['output_tokens']:>8,} tokens, {run['kept']:,} of {run['asked']:,} "
            f"kept, {run['tokens_per_kept']} tokens a kept node, {run['seconds']} s; "
            f"dropped {drops}; repeats dropped early would save {run['saved_tokens']:,} tokens"
        )
        for level, row in run["levels"].items():
            figures = ", ".join(f"{key} {value}" for key, value in row.items())
            lines.append(f"  level {level}: {figures}")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
