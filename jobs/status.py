"""`arborist status`: how far a run is, by its ledger, and what its latest snapshot holds."""

import argparse
import json
import time
from functools import cache
from typing import NamedTuple

import pyarrow.compute as pc

from jobs.estimate_text import course_json, course_text
from jobs.places import add_place, run_at
from jobs.plan import rows_text
from jobs.progress import drops_text, eta_text
from jobs.recipes import check_recipe
from jobs.spec_file import load_spec
from jobs.whereabouts import is_gone
from jobs.wiring import open_run_value
from pipeline.plan.agenda import finished_cohorts, planned_waves
from pipeline.plan.plan import make_plan
from pipeline.report.drivers import DriverStatus, drivers_of
from pipeline.report.status import LevelStatus, Status, status_of
from pipeline.storage.drops import read_drops
from pipeline.storage.estimates import PILOTS, read_estimate
from pipeline.storage.ledger import Ledger
from pipeline.storage.open import beside, join
from pipeline.storage.runs import open_run
from pipeline.storage.snapshots import add_counts, latest
from pipeline.storage.store import Store
from schemas.errors import UserError
from schemas.estimate import Estimate
from schemas.execution_spec import BudgetSpec
from schemas.manifest import RowCount, RunFile, Snapshot
from schemas.wave_id import WaveId

STOPPED = "stopped by its budget"
_SHOWN = 10


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command line."""
    add_place(parser)
    parser.add_argument(
        "--spec",
        help="the YAML file that the run is made by: what is spent is held against its budget",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")


class Standing(NamedTuple):
    """A run at one moment, in waves and in snapshots."""

    location: str
    status: Status
    rows: RowCount
    """What its trees grow from."""
    cohorts: int
    """Of the plan."""
    asides: dict[str, int]
    """Requests about turns, by kind."""
    snapshot: Snapshot | None
    """The latest."""
    kept_after_refine: int | None
    """None where it was not refined."""
    pilot: Estimate | None
    """What its pilot said."""
    repairs: int
    """How many times something damaged was retired."""
    drivers: tuple[DriverStatus, ...]
    """Those that work on it, and those that left something behind."""

    @property
    def sealed(self) -> bool:
        """Whether all planned waves are in a snapshot."""
        return self.snapshot is not None and self.snapshot.complete

    @property
    def state(self) -> str:
        """Whether it grows, or why not."""
        if self.sealed:
            return "sealed"
        waves = sum(level.waves for level in self.status.levels)
        # A budget lets whole cohorts be; once it is raised, waves come that no snapshot names.
        if self.snapshot is None or len(self.snapshot.manifests) < waves:
            return "growing"
        return STOPPED if self.status.out_of_budget else "sealed in part"

    @property
    def refined(self) -> dict[str, int] | None:
        """What refinements left out, by reason."""
        refinement = self.snapshot.refinement if self.snapshot else None
        return None if refinement is None else refinement.dropped

    @property
    def sealed_cohorts(self) -> int:
        """Of the latest snapshot."""
        named = self.snapshot.manifests if self.snapshot else ()
        return len({WaveId.parse(entry.wave).cohort for entry in named})


def run(args: argparse.Namespace) -> int:
    """Print the status."""
    store = run_at(args)
    budget = _budget(args.spec, open_run(store)) if args.spec else None
    standing = standing_of(store, budget)
    print(json.dumps(as_json(standing), indent=1) if args.json else as_text(standing))
    return 0


def _budget(location: str, run_file: RunFile) -> BudgetSpec:
    spec = load_spec(location)
    if spec.generation != run_file.generation:
        raise UserError(
            f"{location}: its section `generation` is not that of run {run_file.run_id}; name the "
            "file that this run is made by."
        )
    return spec.execution.budget


def standing_of(store: Store, budget: BudgetSpec | None = None) -> Standing:
    """From the ledger, the latest snapshot with its drop list, and what a pilot said."""
    run_file = open_run(store)
    check_recipe(run_file)
    run = open_run_value(run_file)
    plan = make_plan(run.spec, run.recipe, run.trees)
    ledger = Ledger(store)
    committed = ledger.all()
    manifests = list(committed.values())
    snapshot = latest(store)
    frontiers = {wave: manifest.frontier for wave, manifest in committed.items()}
    waves = planned_waves(run.spec, run.recipe, plan, frontiers)
    finished = cache(lambda: finished_cohorts(waves))
    return Standing(
        location=store.location,
        status=status_of(plan, manifests, budget),
        rows=run_file.rows,
        cohorts=plan.cohorts,
        asides=add_counts(manifest.counts for manifest in manifests).asides,
        snapshot=snapshot,
        kept_after_refine=_kept_after(store, snapshot) if snapshot else None,
        pilot=_pilot_of(store, run.run_id),
        repairs=ledger.repairs.last,
        drivers=drivers_of(store, lambda cohort: cohort in finished(), is_gone, time.time()),
    )


def _pilot_of(store: Store, run_id: str) -> Estimate | None:
    """Pilots lie beside their runs."""
    above = store.location.rpartition("/")[0]
    return read_estimate(beside(store, join(above, PILOTS)), run_id) if above else None


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
    status, snapshot, pilot = standing.status, standing.snapshot, standing.pilot
    return {
        "location": standing.location,
        "state": standing.state,
        "sealed": standing.sealed,
        "rows": standing.rows.model_dump(mode="json"),
        "levels": [_level_json(level) for level in status.levels],
        "kept": status.kept,
        "dropped": dict(sorted(status.dropped.items())),
        "asides": standing.asides,
        "snapshot": snapshot.number if snapshot else None,
        "sealed_cohorts": standing.sealed_cohorts,
        "cohorts": standing.cohorts,
        "biases": list(snapshot.biases) if snapshot and snapshot.biases is not None else None,
        "refined": standing.refined,
        "kept_after_refine": standing.kept_after_refine,
        "output_tokens": status.output_tokens,
        "aside_tokens": status.aside_tokens,
        "busy_s": round(status.busy_s, 2),
        "tokens_per_s": round(status.tokens_per_s, 1),
        "attempts": status.attempts,
        "spent": status.spent._asdict(),
        "budget": {limit.name: limit.allowed for limit in status.limits},
        "eta_s": None if status.eta_s is None else round(status.eta_s),
        "pilot": course_json(pilot, status) if pilot else None,
        "repairs": standing.repairs,
        "drivers": [_driver_json(driver) for driver in standing.drivers],
    }


def _driver_json(one: DriverStatus) -> dict[str, object]:
    return {
        "attempt": one.driver.attempt,
        "host": one.driver.host,
        "pid": one.driver.pid,
        "state": one.state,
        "heard_s": round(one.heard_s, 1),
        "claim_s": one.driver.claim_s,
        "cohorts": list(one.cohorts),
    }


def _level_json(level: LevelStatus) -> dict[str, object]:
    return {
        "level": level.level,
        "role": level.role,
        "waves": level.waves,
        "expected_waves": level.expected_waves,
        "asked": level.asked,
        "expected_candidates": round(level.expected_candidates),
        "parents": level.parents,
        "given": level.given,
        "kept": level.kept,
        "dropped": dict(sorted(level.dropped.items())),
        "prompt_tokens": level.prompt_tokens,
        "output_tokens": level.output_tokens,
        "aside_tokens": level.aside_tokens,
    }


def as_text(standing: Standing) -> str:
    """The same as a table."""
    status = standing.status
    lines = [
        f"run {standing.location}: {_state(standing)}, {status.attempts} "
        f"attempt{'' if status.attempts == 1 else 's'}",
        *rows_text(standing.rows),
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
    lines += _notes(standing)
    lines.append(
        f"{status.output_tokens:,} tokens{_about(status)} in {status.busy_s:,.1f} busy seconds, "
        f"{status.tokens_per_s:,.1f} tokens/s{_left(standing)}"
    )
    return "\n".join(lines)


def _about(status: Status) -> str:
    return f" and {status.aside_tokens:,} about candidates" if status.aside_tokens else ""


def _left(standing: Standing) -> str:
    """What is left, of a run that may go on."""
    if standing.sealed or standing.state == STOPPED:
        return ""
    return f"; left: {eta_text(standing.status)}"


def _state(standing: Standing) -> str:
    snapshot = standing.snapshot
    if snapshot is None:
        return standing.state
    if snapshot.complete:
        return f"{standing.state}, snapshot {snapshot.number}"
    return (
        f"{standing.state}, snapshot {snapshot.number}: partial, {standing.sealed_cohorts:,} of "
        f"{standing.cohorts:,} cohorts"
    )


def _notes(standing: Standing) -> list[str]:
    """Lines that only some runs have."""
    status, snapshot = standing.status, standing.snapshot
    lines = [_given_text(level) for level in status.levels if level.given]
    if standing.asides:
        lines.append(f"asked about turns: {_by_name(standing.asides)}")
    if standing.refined is not None:
        lines.append(
            f"refined: {_by_name(standing.refined)}; {standing.kept_after_refine:,} of "
            f"{status.kept:,} kept rows remain"
        )
    if snapshot is not None and snapshot.biases is not None:
        lines.append(biases_text(snapshot.biases))
    if status.limits:
        lines.append(f"spent: {', '.join(map(str, status.limits))}")
    if standing.repairs:
        lines.append(f"repairs: {standing.repairs}; what they retired is not counted")
    lines += map(_driver_text, standing.drivers)
    if standing.pilot is not None:
        lines.append(course_text(standing.pilot, status, done=standing.sealed))
    return lines


def _driver_text(one: DriverStatus) -> str:
    shown = ", ".join(map(str, one.cohorts[:_SHOWN]))
    more = len(one.cohorts) - _SHOWN
    held = f"cohorts {shown}{f' and {more:,} more' if more > 0 else ''}" if shown else "nothing"
    holds = "left" if one.state in ("ended", "gone") else "holds"
    return (
        f"driver {one.driver.attempt} on {one.driver.host}: {one.state}, {holds} {held}; last "
        f"heard of {one.heard_s:,.0f} s ago"
    )


def _given_text(level: LevelStatus) -> str:
    share = level.given / level.parents if level.parents else 0.0
    return (
        f"level {level.level}: reference kept for {level.given:,} of {level.parents:,} prompts "
        f"({share:.1%})"
    )


def biases_text(biases: tuple[str, ...]) -> str:
    """Whether the rows are a fair sample of what the model writes."""
    if not biases:
        return "an unbiased sample of what the model writes"
    return f"no unbiased sample of what the model writes: {'; '.join(biases)}"


def _by_name(counts: dict[str, int]) -> str:
    return ", ".join(f"{n:,} {name}" for name, n in counts.items()) or "nothing dropped"
