"""`arborist status`: how far a run is, added up from its ledger alone."""

import argparse
import json

from jobs.progress import drops_text, eta_text
from pipeline.recipes import RECIPES
from pipeline.report.status import Status, status_of
from pipeline.storage.ledger import Ledger
from pipeline.storage.open import find_run
from pipeline.storage.runs import open_run
from pipeline.storage.snapshots import latest
from schemas.manifest import Snapshot


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command line."""
    parser.add_argument("uri", help="a run's folder, or the folder with the one run in it")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> int:
    """Print the status."""
    store = find_run(args.uri)
    generation = open_run(store).generation
    status = status_of(generation, RECIPES[generation.recipe], Ledger(store).all().values())
    snapshot = latest(store)
    if args.json:
        print(json.dumps(as_json(store.location, status, snapshot), indent=1))
    else:
        print(as_text(store.location, status, snapshot))
    return 0


def as_json(location: str, status: Status, snapshot: Snapshot | None) -> dict[str, object]:
    """All figures."""
    levels = [
        {
            "level": level.level,
            "role": level.role,
            "waves": level.waves,
            "expected_waves": level.expected_waves,
            "asked": level.asked,
            "expected_candidates": round(level.expected_candidates),
            "kept": level.kept,
            "dropped": dict(sorted(level.dropped.items())),
            "prompt_tokens": level.prompt_tokens,
            "output_tokens": level.output_tokens,
        }
        for level in status.levels
    ]
    return {
        "location": location,
        "sealed": snapshot is not None and snapshot.complete,
        "levels": levels,
        "kept": status.kept,
        "dropped": dict(sorted(status.dropped.items())),
        "output_tokens": status.output_tokens,
        "busy_s": round(status.busy_s, 2),
        "tokens_per_s": round(status.tokens_per_s, 1),
        "attempts": status.attempts,
        "eta_s": None if status.eta_s is None else round(status.eta_s),
    }


def as_text(location: str, status: Status, snapshot: Snapshot | None) -> str:
    """The same as a table."""
    state = "sealed" if snapshot is not None and snapshot.complete else "growing"
    lines = [
        f"run {location}: {state}, {status.attempts} attempts",
        f"{'level':>5} {'role':<10}{'waves':>14}{'asked':>12}{'of about':>12}{'kept':>12}"
        f"{'tokens':>14}",
    ]
    for level in status.levels:
        waves = f"{level.waves:,}/{level.expected_waves:,}"
        lines.append(
            f"{level.level:>5} {level.role:<10}{waves:>14}{level.asked:>12,}"
            f"{level.expected_candidates:>12,.0f}{level.kept:>12,}{level.output_tokens:>14,}"
        )
    lines.append(f"dropped: {drops_text(status)}")
    left = "" if state == "sealed" else f"; left: {eta_text(status)}"
    lines.append(
        f"{status.output_tokens:,} tokens in {status.busy_s:,.1f} busy seconds, "
        f"{status.tokens_per_s:,.1f} tokens/s{left}"
    )
    return "\n".join(lines)
