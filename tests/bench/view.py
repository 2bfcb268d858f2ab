"""How long a person waits for pages of a large run.

    python tests/bench/view.py --nodes 20000
    python tests/bench/view.py --nodes 1000000 --folder /var/tmp/view --json
    python tests/bench/view.py --run runs/large/0123456789abcdef --json

A run of scripted engines is grown: in a folder that is deleted afterwards, or in one that is named,
where it stays; there it is grown once, and what was interrupted goes on. The real command is
started on it, and asked over its socket what a browser asks:

start_s        from the start of the command until it prints the address;
first_page_s   the page with its scripts, and the figures of the whole run (no shard is read);
forest_s       all trees, each with its size, depth and drops;
tree_s         one tree, as far as a page shows it;
node_s         the story of one node;
search_s       until the first turns are found that have a word in them;
scores_s       the distributions of all stored scores.

`grown_s` and `megabytes` are what the run took to make, and takes on disk. `opens_s` is start and
first page together. Each page is asked for `--rounds` times; the middle one counts.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from urllib.request import urlopen

import yaml

REPOSITORY = Path(__file__).parents[2]
FANOUTS = (16, 4, 4, 2)
TREES_PER_COHORT = 8
ASSETS = (
    *("", "style.css", "app.js", "dom.js", "forest.js", "tree.js", "radial.js", "node.js"),
    *("lists.js", "filters.js"),
)


def main() -> None:
    args = arguments()
    if args.run:
        figures = measured(args.run, args.rounds)
    elif args.folder:
        figures = of_grown(args.nodes, args.folder / str(args.nodes), args.rounds)
    else:
        with tempfile.TemporaryDirectory() as folder:
            figures = of_grown(args.nodes, Path(folder), args.rounds)
    if args.json:
        print(json.dumps(figures, indent=1))
        return
    for name, value in figures.items():
        print(f"{name:14} {value:>12,}")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--nodes", type=int, default=1_000_000, help="about so many candidates")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--run", help="a run that is there, instead of one that is grown")
    parser.add_argument("--folder", type=Path, help="where the run stays, to be used again")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    return parser.parse_args()


def of_grown(nodes: int, folder: Path, rounds: int) -> dict[str, Any]:
    """Figures of a run in a folder, which is grown where it is not whole."""
    began = time.monotonic()
    run = grown(nodes, folder)
    grown_s = round(time.monotonic() - began, 1)
    size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    return {"grown_s": grown_s, "megabytes": round(size / 1e6), **measured(run, rounds)}


def grown(nodes: int, folder: Path) -> str:
    """A sealed run of about so many candidates."""
    folder.mkdir(parents=True, exist_ok=True)
    spec = folder / "spec.yaml"
    spec.write_text(yaml.safe_dump(content(nodes, folder)))
    command = [sys.executable, "-m", "jobs.cli", "generate", str(spec), "--json"]
    subprocess.run(
        command, cwd=REPOSITORY, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    return str(folder / "runs")


def content(nodes: int, folder: Path) -> dict[str, Any]:
    asked, per_tree = 1, 0
    for fanout in FANOUTS:
        asked *= fanout
        per_tree += asked
    levels = [
        {"role": ("user", "assistant")[i % 2], "fanout": n, "oversample": 1, "max_tokens": 256}
        for i, n in enumerate(FANOUTS)
    ]
    scripted = {"duplicate_share": 0.1, "mean_tokens": 40}
    return {
        "generation": {
            "model": {"name": "scripted", "context": 8192},
            "roots": {"trees": max(1, nodes // per_tree)},
            "levels": levels,
            "curation": {"diversity": None},
            "bounds": {"trees_per_cohort": TREES_PER_COHORT, "candidates_per_wave": 2048},
        },
        "execution": {
            "location": str(folder / "runs"),
            "pool": "local",
            "embedder": "hashing",
            "engines": {"main": {"backend": "scripted", "scripted": scripted}},
        },
    }


def measured(run: str, rounds: int) -> dict[str, Any]:
    with viewing(run) as (address, start_s):
        first_s = timed(lambda: first_page(address), rounds)
        told = asked(address, "run")
        trees = [row for line in lines(address, "trees") for row in line.get("trees", [])]
        cohort, tree = told["cohorts"][-1][0], trees[-1][0]
        rows = asked(address, "tree", cohort=cohort, tree=tree)["rows"]
        place = {"wave": rows[-1]["wave"], "node": rows[-1]["node_id"]}
        counts = told["counts"]
        return {
            "nodes": counts["asked"],
            "waves": told["waves"],
            "trees": len(trees),
            "start_s": round(start_s, 3),
            "first_page_s": first_s,
            "opens_s": round(start_s + first_s, 3),
            "forest_s": timed(lambda: list(lines(address, "trees")), rounds),
            "tree_s": timed(lambda: asked(address, "tree", cohort=cohort, tree=tree), rounds),
            "node_s": timed(lambda: asked(address, "node", **place), rounds),
            "search_s": timed(lambda: found(address, "the"), rounds),
            "scores_s": timed(lambda: asked(address, "scores"), rounds),
        }


@contextmanager
def viewing(run: str) -> Iterator[tuple[str, float]]:
    """The address of the real command, and how long it took to say it."""
    began = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "-m", "jobs.cli", "view", run, "--open", "false"],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert process.stdout is not None
        process.stdout.readline()
        address = process.stdout.readline().strip()
        assert address.startswith("http"), "arborist view did not start"
        yield address, time.monotonic() - began
    finally:
        process.kill()
        process.wait()


def timed(do: Callable[[], Any], rounds: int) -> float:
    took = []
    for _ in range(rounds):
        began = time.monotonic()
        do()
        took.append(time.monotonic() - began)
    return round(statistics.median(took), 3)


def first_page(address: str) -> None:
    """What a browser fetches before the forest can be drawn."""
    for asset in ASSETS:
        with urlopen(f"{address}{asset}") as answer:
            answer.read()
    asked(address, "run")


def asked(address: str, name: str, **query: object) -> dict[str, Any]:
    with urlopen(f"{address}api/{name}?{urlencode(query)}") as answer:
        return json.load(answer)


def lines(address: str, name: str, **query: object) -> Iterator[dict[str, Any]]:
    with urlopen(f"{address}api/{name}?{urlencode(query)}") as answer:
        for line in answer:
            yield json.loads(line)


def found(address: str, word: str) -> None:
    """Listen until there are rows, then go away."""
    for line in lines(address, "search", q=word):
        if line.get("rows"):
            return


if __name__ == "__main__":
    main()
