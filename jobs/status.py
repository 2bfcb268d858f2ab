"""`arborist status`: how far a run is, by its ledger, and what its latest snapshot holds."""

import argparse
import json
from typing import NamedTuple

import pyarrow.compute as pc

from jobs.progress import drops_text, eta_text
from pipeline.recipes import RECIPES
from pipeline.report.status import Status, status_of
from pipeline.storage.drops import read_drops
from pipeline.storage.ledger import Ledger
from pipeline.storage.open import find_run
from pipeline.storage.runs import open_run
from pipeline.storage.snapshots import add_counts, latest
from pipeline.storage.store import Store
from schemas.manifest import Snapshot


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command line."""
    parser.add_argument("uri", help="a run's folder, or the folder with the one run in it")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


class Standing(NamedTuple):
    """A run at one moment, in waves and in snapshots."""

    location: str
    status: Status
    asides: dict[str, int]
    """Requests about turns, by kind."""
    snapshot: Snapshot | None
    """The latest."""
    kept_after_refine: int | None
    """None where it was not refined."""

    @property
    def sealed(self) -> bool:
        """Whether all planned waves are in a snapshot."""
        return self.snapshot is not None and self.snapshot.complete

    @property
    def refined(self) -> dict[str, int] | None:
        """What refinements left out, by reason."""
        refinement = self.snapshot.refinement if self.snapshot else None
        return None if refinement is None else refinement.dropped


def run(args: argparse.Namespace) -> int:
    """Print the status."""
    standing = standing_of(find_run(args.uri))
    print(json.dumps(as_json(standing), indent=1) if args.json else as_text(standing))
    return 0


def standing_of(store: Store) -> Standing:
    """From the ledger, and the latest snapshot with its drop list."""
    generation = open_run(store).generation
    manifests = list(Ledger(store).all().values())
    snapshot = latest(store)
    return Standing(
        location=store.location,
        status=status_of(generation, RECIPES[generation.recipe], manifests),
        asides=add_counts(manifest.counts for manifest in manifests).asides,
        snapshot=snapshot,
        kept_after_refine=_kept_after(store, snapshot) if snapshot else None,
    )


def _kept_after(store: Store, snapshot: Snapshot) -> int | None:
    if snapshot.refinement is None:
        return None
    if snapshot.drops is None:
        return snapshot.counts.kept
    paths = read_drops(store, snapshot.drops, ["path"]).column("path")
    # Roots are given, so they are not counted as kept, but may be withdrawn.
    return snapshot.counts.kept - (pc.sum(pc.greater(pc.list_value_length(paths), 0)).as_py() or 0)


def as_json(standing: Standing) -> dict[str, object]:
    """All figures."""
    status = standing.status
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
        "location": standing.location,
        "sealed": standing.sealed,
        "levels": levels,
        "kept": status.kept,
        "dropped": dict(sorted(status.dropped.items())),
        "asides": standing.asides,
        "snapshot": standing.snapshot.number if standing.snapshot else None,
        "refined": standing.refined,
        "kept_after_refine": standing.kept_after_refine,
        "output_tokens": status.output_tokens,
        "busy_s": round(status.busy_s, 2),
        "tokens_per_s": round(status.tokens_per_s, 1),
        "attempts": status.attempts,
        "eta_s": None if status.eta_s is None else round(status.eta_s),
    }


def as_text(standing: Standing) -> str:
    """The same as a table."""
    status, snapshot = standing.status, standing.snapshot
    state = "sealed" if standing.sealed else "growing"
    number = f", snapshot {snapshot.number}" if snapshot else ""
    lines = [
        f"run {standing.location}: {state}{number}, {status.attempts} attempts",
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
    if standing.asides:
        lines.append(f"asked about turns: {_by_name(standing.asides)}")
    if standing.refined is not None:
        lines.append(
            f"refined: {_by_name(standing.refined)}; {standing.kept_after_refine:,} of "
            f"{status.kept:,} kept rows remain"
        )
    left = "" if standing.sealed else f"; left: {eta_text(status)}"
    lines.append(
        f"{status.output_tokens:,} tokens in {status.busy_s:,.1f} busy seconds, "
        f"{status.tokens_per_s:,.1f} tokens/s{left}"
    )
    return "\n".join(lines)


def _by_name(counts: dict[str, int]) -> str:
    return ", ".join(f"{n:,} {name}" for name, n in counts.items()) or "nothing dropped"
