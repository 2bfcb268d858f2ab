"""What each setting of an engine on this machine's CPUs is worth: short batches, in pairs.

    python -m tests.bench.engine_defaults --pairs 5
    python -m tests.bench.engine_defaults --pairs 5 --only "1 thread,float32" --json --out FILE

Of each pair one is the engine as it is by default, and the other differs in one setting; each runs
in a process of its own (`pipeline.engines.timing`), by turns, and only the two of a pair are
compared. Figures are output tokens a second: the median over the batches of a process, and over
the pairs the median of the ratios with the lowest and the highest. `by CPU` is the median of the
ratios of output tokens a second of CPU time, which company on the machine disturbs less; threads
that wait for each other by spinning count as busy there.
"""

import argparse
import json
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jobs.engine_trials import try_settings
from pipeline.engines.cpu_defaults import allocator_library, openmp_library
from pipeline.engines.machine import Machine, this_machine

CONTEXT = 512


def main() -> None:
    args = arguments()
    machine = this_machine()
    known = variants(machine)
    names = args.only.split(",") if args.only else list(known)
    if unknown := sorted(set(names) - known.keys()):
        sys.exit(f"--only: found {', '.join(unknown)}, expected some of: {', '.join(known)}")
    base = base_settings(args, machine)
    results = {name: pairs_of(name, changed(base, known[name]), base, args.pairs) for name in names}
    found = {"machine": about(machine), "settings": vars(args), "variants": results}
    if args.out:
        Path(args.out).write_text(json.dumps(found, indent=1))
    print(json.dumps(found, indent=1) if args.json else table(found))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="packaged")
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--only", help="some of the variants, with commas between them")
    parser.add_argument("--sequences", type=int, default=32, help="decoded at once")
    parser.add_argument("--tokens", type=int, default=48, help="of each turn")
    parser.add_argument("--batches", type=int, default=3, help="of a process")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--out", help="a file for the same")
    return parser.parse_args()


def variants(machine: Machine) -> dict[str, dict[str, Any]]:
    """By name, what is other than by default."""
    threads = {f"{n} thread{'s' * (n > 1)}": n for n in (1, 2, 4, 8, 16) if n < machine.usable}
    found: dict[str, dict[str, Any]] = {
        "as it is": {},
        **{name: {"config": {"cpus": number}} for name, number in threads.items()},
        "float32": {"config": {"dtype": "float32"}},
        "bfloat16": {"config": {"dtype": "bfloat16"}},
        **{f"blocks of {n}": {"args": {"block_size": n}} for n in (16, 64, 128)},
        "waits passively": {"environment": {"OMP_WAIT_POLICY": "passive"}},
        "compiled": {"args": {"enforce_eager": False}},
        "the engine's seeds": {"seeded": False},
        "top_p 0.9": {"top_p": 0.9},
    }
    openmp, allocator = openmp_library(), allocator_library()
    if openmp:
        preloaded = {"LD_PRELOAD": openmp, "KMP_BLOCKTIME": "5", "KMP_TPAUSE": "0"}
        found["Intel's OpenMP"] = {"environment": preloaded}
    if allocator:
        found["allocator"] = {"environment": {"LD_PRELOAD": allocator}}
    return found


def base_settings(args: argparse.Namespace, machine: Machine) -> dict[str, Any]:
    from jobs.wiring import model_location

    config = {
        "model": model_location(args.model),
        "context": CONTEXT,
        "cpus": machine.usable,
        "max_num_seqs": args.sequences,
        "kv_cache_gib": 0.5,
    }
    sizes = {name: getattr(args, name) for name in ("sequences", "tokens", "batches")}
    return {"config": config, **sizes}


def changed(base: dict[str, Any], change: dict[str, Any]) -> dict[str, Any]:
    """The settings of a trial with one variant's."""
    config = base["config"] | change.get("config", {}) | {"args": change.get("args", {})}
    rest = {name: value for name, value in change.items() if name not in ("config", "args")}
    return base | rest | {"config": config}


def pairs_of(name: str, settings: dict[str, Any], base: dict[str, Any], num: int) -> dict[str, Any]:
    """Which comes first changes from pair to pair."""
    pairs: list[dict[str, Any]] = []
    for number in range(num):
        sides = {"base": base, "variant": settings}
        order = list(sides) if number % 2 == 0 else list(sides)[::-1]
        found = {side: try_settings(sides[side]) for side in order}
        error = next((one["error"] for one in found.values() if "error" in one), None)
        if error:
            return {"error": error}
        rates = {side: one["median"] for side, one in found.items()}
        by_cpu = {side: one["median_by_cpu"] for side, one in found.items()}
        ratios = (one["variant"] / one["base"] for one in (rates, by_cpu))
        told = zip(("ratio", "cpu_ratio"), (round(ratio, 4) for ratio in ratios), strict=True)
        pairs.append({**rates, **dict(told)})
        print(f"{name}, pair {number + 1} of {num}: {pairs[-1]}", file=sys.stderr, flush=True)
    ratios = [pair["ratio"] for pair in pairs]
    return {
        "ratio": round(statistics.median(ratios), 4),
        "lowest": min(ratios),
        "highest": max(ratios),
        "cpu_ratio": round(statistics.median(pair["cpu_ratio"] for pair in pairs), 4),
        "pairs": pairs,
    }


def about(machine: Machine) -> dict[str, Any]:
    from jobs.probe_engine import engine_report

    return {key: engine_report(machine, {}, {})[key] for key in ("machine", "installed")}


def table(found: dict[str, Any]) -> str:
    machine = found["machine"]["machine"]
    lines = [f"{machine['name']}, {machine['usable']} cores; ratio to the defaults"]
    head = ("median", "lowest", "highest", "by CPU")
    lines.append(f"{'':<22}" + "".join(f"{word:>8}" for word in head) + f"{'tokens/s':>10}")
    lines += [_row(name, one) for name, one in found["variants"].items()]
    return "\n".join(lines)


def _row(name: str, found: dict[str, Any]) -> str:
    if "error" in found:
        return f"{name:<22}  {found['error'][:70]}"
    rate = statistics.median(pair["variant"] for pair in found["pairs"])
    cells: Sequence[float] = tuple(
        found[name] for name in ("ratio", "lowest", "highest", "cpu_ratio")
    )
    return f"{name:<22}" + "".join(f"{cell:>8.3f}" for cell in cells) + f"{rate:>10.1f}"


if __name__ == "__main__":
    main()
