"""What curation finds, and what it costs: near duplicates, verdicts, features. On one core.

    python tests/bench/dedup.py
    python tests/bench/dedup.py --sections groups speed --repetitions 9 --json

groups    recall and precision of near duplicates on labelled groups, beside datasketch
speed     texts a second from text to neighbours, beside datasketch and rensa
verdicts  microseconds a candidate of the driver's verdicts, by shape of wave. Target: 30.
features  turns a second that one worker measures, without an embedder
"""

import argparse
import json
import os
from collections.abc import Callable

ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "RAYON_NUM_THREADS")


def main() -> None:
    args = arguments()
    pin()
    sections = {name: SECTIONS[name](args) for name in args.sections}
    print(json.dumps(sections, indent=1) if args.json else report(sections))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sections", nargs="+", choices=SECTIONS, default=list(SECTIONS))
    parser.add_argument("--repetitions", type=int, default=7, help="runs of each contender")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    return parser.parse_args()


def pin() -> None:
    """One thread, on one of the cores that this process may use. Before numpy is imported."""
    os.environ.update(dict.fromkeys(ONE_THREAD, "1"))
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})


def groups(args: argparse.Namespace) -> dict:
    from dedup_groups import groups_section

    return groups_section()


def speed(args: argparse.Namespace) -> dict:
    from dedup_speed import speed_section

    return speed_section(args.repetitions)


def verdicts(args: argparse.Namespace) -> dict:
    from dedup_driver import verdicts_section

    return verdicts_section(args.repetitions)


def features(args: argparse.Namespace) -> dict:
    from dedup_driver import features_section

    return features_section(args.repetitions)


SECTIONS: dict[str, Callable[[argparse.Namespace], dict]] = {
    "groups": groups,
    "speed": speed,
    "verdicts": verdicts,
    "features": features,
}


def report(sections: dict[str, dict]) -> str:
    """All figures, one block a section."""
    return "\n\n".join(f"{name.upper()}\n{_lines(found, 1)}" for name, found in sections.items())


def _lines(found: dict, depth: int) -> str:
    return "\n".join(
        "  " * depth + f"{name}: {_shown(value, depth)}" for name, value in found.items()
    )


def _shown(value: object, depth: int) -> str:
    if isinstance(value, list):
        return "\n" + _table(value, depth + 1)
    if not isinstance(value, dict):
        return str(value)
    if all(isinstance(part, dict) for part in value.values()):
        return _shown([{"": name, **part} for name, part in value.items()], depth)
    if any(isinstance(part, dict) for part in value.values()):
        return "\n" + _lines(value, depth + 1)
    return ", ".join(f"{name} {part}" for name, part in value.items())


def _table(rows: list[dict], depth: int) -> str:
    names = list(rows[0]) if rows else []
    cells = [names, *([str(row[name]) for name in names] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return "\n".join(
        "  " * depth + "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True))
        for row in cells
    )


if __name__ == "__main__":
    main()
