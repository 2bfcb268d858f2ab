"""How much memory a run takes as it grows: in the driver, and in the processes of the engines.

    python tests/bench/memory.py --nodes 100000
    python tests/bench/memory.py --nodes 1000000 --json

The real command grows whole runs with scripted engines in Ray actors, in folders that are deleted
afterwards: one of a hundredth, one of a tenth, and one of all the nodes, for each shape:

small-cohorts   cohorts of about a hundred candidates, so that waves are many and small;
large-cohorts   one cohort holds a tenth of all the trees, so that first waves are large.

Looked at twice a second, as the kernel counts it (resident memory, what is shared left out):
driver_mib    the most that the command's own process held, and by tenths of the run (`driver`);
engine_mib    the most that any one engine's process held.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from itertools import pairwise
from pathlib import Path

import yaml

REPOSITORY = Path(__file__).parents[2]
LOOK_S = 0.5
SHAPES = {
    "small-cohorts": {"fanouts": (8, 4), "trees_per_cohort": 2, "candidates_per_wave": 256},
    "large-cohorts": {"fanouts": (8, 4, 4, 2), "trees_per_cohort": 0, "candidates_per_wave": 2048},
}
"""0 trees a cohort: a tenth of all."""


def main() -> None:
    args = arguments()
    sizes = sorted({max(1000, args.nodes // 100), max(1000, args.nodes // 10), args.nodes})
    runs = [measure(shape, nodes, args) for shape in args.shapes for nodes in sizes]
    if args.json:
        print(json.dumps({"runs": runs}, indent=1))
        return
    print(f"{'shape':14} {'nodes':>10} {'waves':>7} {'driver':>8} {'engine':>8} MiB  by tenths")
    for run in runs:
        tenths = " ".join(f"{value:.0f}" for value in run["driver"])
        print(
            f"{run['shape']:14} {run['asked']:>10,} {run['waves']:>7,} {run['driver_mib']:>8.0f} "
            f"{run['engine_mib']:>8.0f}      {tenths}"
        )


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--nodes", type=int, default=100_000, help="about so many candidates")
    parser.add_argument("--engines", type=int, default=2, help="scripted engines, an actor each")
    parser.add_argument("--shapes", nargs="+", choices=SHAPES, default=list(SHAPES))
    parser.add_argument("--folder", help="where runs are made; default: the system's temporary one")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    return parser.parse_args()


def measure(shape: str, nodes: int, args: argparse.Namespace) -> dict:
    """One run, watched from outside."""
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        spec = Path(folder) / "spec.yaml"
        spec.write_text(yaml.safe_dump(content(shape, nodes, args.engines, folder)))
        command = [sys.executable, "-m", "jobs.cli", "generate", str(spec), "--json"]
        began = time.monotonic()
        with subprocess.Popen(
            command,
            cwd=REPOSITORY,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={**os.environ, "RAY_DEDUP_LOGS": "0"},
        ) as process:
            looks = watch(process)
            assert process.stdout is not None
            done = json.loads(process.stdout.read())
    figures = {"shape": shape, "asked": done["asked"], "waves": done["waves"]}
    figures["seconds"] = round(time.monotonic() - began, 1)
    return figures | summary(looks)


def content(shape: str, nodes: int, engines: int, folder: str) -> dict:
    """A spec of about so many candidates."""
    settings = SHAPES[shape]
    fanouts = settings["fanouts"]
    asked, per_tree = 1, 0
    for fanout in fanouts:
        asked *= fanout
        per_tree += asked
    trees = max(1, nodes // per_tree)
    levels = [
        {"role": ("user", "assistant")[i % 2], "fanout": n, "oversample": 1, "max_tokens": 256}
        for i, n in enumerate(fanouts)
    ]
    return {
        "generation": {
            "model": {"name": "scripted", "context": 8192},
            "roots": {"trees": trees},
            "levels": levels,
            "curation": {"duplicates": "near"},
            "bounds": {
                "trees_per_cohort": settings["trees_per_cohort"] or max(1, trees // 10),
                "candidates_per_wave": settings["candidates_per_wave"],
            },
        },
        "execution": {
            "location": f"{folder}/runs",
            "pool": "ray",
            "workers": 1,
            "embedder": "hashing",
            "engines": {"main": {"backend": "scripted", "replicas": engines}},
        },
    }


def watch(process: "subprocess.Popen[str]") -> list[dict[str, float]]:
    """By kind of process, the most memory that one of them held, at each look."""
    looks = []
    while process.poll() is None:
        found: dict[str, float] = defaultdict(float)
        found["driver"] = resident(process.pid)
        for pid in descendants(process.pid):
            kind = "engine" if "EngineActor" in title(pid) else "other"
            found[kind] = max(found[kind], resident(pid))
        looks.append(dict(found))
        time.sleep(LOOK_S)
    return looks


def summary(looks: list[dict[str, float]]) -> dict:
    driver = [look["driver"] for look in looks if look["driver"]]
    bounds = [len(driver) * tenth // 10 for tenth in range(11)]
    tenths = [max(driver[a:b], default=0.0) for a, b in pairwise(bounds)]
    return {
        "driver_mib": max(driver, default=0.0),
        "engine_mib": max((look.get("engine", 0.0) for look in looks), default=0.0),
        "driver": tenths,
    }


def descendants(pid: int) -> list[int]:
    """All processes that came from one, as the kernel lists them."""
    children: dict[int, list[int]] = defaultdict(list)
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal() and (fields := status(int(entry.name))):
            children[int(fields.get("PPid", 0))].append(int(entry.name))
    found, waiting = [], [pid]
    while waiting:
        below = children[waiting.pop()]
        found += below
        waiting += below
    return found


def status(pid: int) -> dict[str, str]:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return {}
    return {key: value.strip() for key, _, value in (line.partition(":") for line in lines)}


def resident(pid: int) -> float:
    """Anonymous memory in MiB; Ray's shared object store and mapped files are left out."""
    return round(int(status(pid).get("RssAnon", "0 kB").split()[0]) / 1024, 1)


def title(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")
    except OSError:
        return ""


if __name__ == "__main__":
    main()
