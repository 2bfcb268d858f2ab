"""What every recipe writes, for real: one small run each with the packaged models on this machine.

    python tests/bench/recipes.py
    python tests/bench/recipes.py --only magpie context-free --json --texts 2

Each spec of jobs/specs/cpu/ is run by `arborist generate` in a process of its own, at a place of
its own, and its rows are read with pyarrow as a stranger would. Specs that grow from another run's
snapshot are run after it.

nodes         kept, of so many asked; given rows are references that stood in for an answer.
tokens_per_s  sampled tokens (turns and what was asked about them) over the time waves were in
              flight; loading is left out.
dropped       share of the asked ones by reason.
levels        by level: kept turns, mean characters and tokens of a turn, and distinct-n: different
              n-grams over all n-grams, n from 1 to 3, of the first 2,000 words.
"""

import argparse
import json
import re
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TextIO

import pyarrow.parquet as pq

REPOSITORY = Path(__file__).parents[2]
SPECS = REPOSITORY / "jobs" / "specs" / "cpu"
WORDS = 2000
"""Distinct-n falls with the length of the text, so all levels are cut to the same."""


def main() -> None:
    args = arguments()
    with tempfile.TemporaryDirectory() as folder:
        found = {}
        for spec in chosen(args.only):
            found[spec.stem] = measure(spec, Path(folder) / spec.stem, args)
            show(spec.stem, found[spec.stem], sys.stderr if args.json else sys.stdout)
    if args.json:
        print(json.dumps(found, indent=1, ensure_ascii=False))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", nargs="+", help="specs by name, for example magpie")
    parser.add_argument("--engine", choices=["scripted"], help="rehearse instead")
    parser.add_argument("--texts", type=int, default=0, help="kept turns to show of each level")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    return parser.parse_args()


def chosen(only: Sequence[str] | None) -> list[Path]:
    """The specs asked for."""
    specs = sorted(SPECS.glob("*.yaml"))
    known = [spec.stem for spec in specs]
    unknown = sorted(set(only or ()) - set(known))
    if unknown:
        sys.exit(f"no spec is called {unknown[0]}; expected some of {', '.join(known)}")
    return [spec for spec in specs if only is None or spec.stem in only]


def measure(spec: Path, location: Path, args: argparse.Namespace) -> dict[str, Any]:
    """Run one spec, and look at its rows."""
    command = [sys.executable, "-m", "jobs.cli", "generate", str(spec), "--json"]
    command += ["--location", str(location)]
    command += ["--engine", args.engine] if args.engine else []
    began = time.monotonic()
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{spec.name}: {done.stderr[-2000:]}")
    figures = json.loads(done.stdout)
    asked = figures["asked"]
    return {
        "wall_s": round(time.monotonic() - began, 1),
        "nodes": figures["kept"],
        "asked": asked,
        "given": figures.get("given", 0),
        "tokens_per_s": figures["tokens_per_s"],
        "dropped": {name: round(n / asked, 3) for name, n in figures["dropped"].items()},
        "levels": levels(rows_of(location), args.texts),
    }


def rows_of(location: Path) -> list[dict[str, Any]]:
    """The kept rows of the one run there."""
    files = sorted(location.glob("*/nodes/*.parquet"))
    columns = ["level", "role", "origin", "text", "num_tokens"]
    return [row for file in files for row in pq.read_table(file, columns=columns).to_pylist()]


def levels(rows: Sequence[dict[str, Any]], texts: int) -> dict[int, dict[str, Any]]:
    """Figures of the kept turns by level, without the roots."""
    by_level = defaultdict(list)
    for row in rows:
        if row["level"] and row["origin"] != "given":
            by_level[row["level"]].append(row)
    return {level: one_level(by_level[level], texts) for level in sorted(by_level)}


def one_level(rows: Sequence[dict[str, Any]], texts: int) -> dict[str, Any]:
    words = [re.findall(r"\w+", row["text"].lower()) for row in rows]
    found = {
        "role": rows[0]["role"],
        "kept": len(rows),
        "mean_chars": round(sum(len(row["text"]) for row in rows) / len(rows), 1),
        "mean_tokens": round(sum(row["num_tokens"] for row in rows) / len(rows), 1),
        **{f"distinct_{n}": distinct(words, n) for n in (1, 2, 3)},
    }
    return found | ({"texts": [row["text"] for row in rows[:texts]]} if texts else {})


def distinct(texts: Sequence[Sequence[str]], n: int) -> float:
    """Different n-grams over all n-grams of the first words."""
    grams: list[tuple[str, ...]] = []
    left = WORDS
    for words in texts:
        words = words[:left]
        left -= len(words)
        grams += zip(*(words[i:] for i in range(n)), strict=False)
    return round(len(set(grams)) / max(1, len(grams)), 3)


def show(name: str, found: dict[str, Any], out: TextIO) -> None:
    dropped = ", ".join(f"{reason} {share:.0%}" for reason, share in found["dropped"].items())
    print(
        f"{name}: {found['nodes']} of {found['asked']} kept, {found['given']} given, "
        f"{found['tokens_per_s']:.0f} tokens/s, {found['wall_s']} s; dropped: {dropped or 'none'}",
        file=out,
    )
    for level, row in found["levels"].items():
        figures = (f"{key} {value}" for key, value in row.items() if key != "texts")
        print(f"  level {level} " + "  ".join(figures), file=out)
        for text in row.get("texts", []):
            print(f"    | {text!r}", file=out)
    out.flush()


if __name__ == "__main__":
    main()
