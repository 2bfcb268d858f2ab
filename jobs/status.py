"""`arborist status`: how far a run is, by its ledger, and what its latest snapshot holds."""

import argparse
import json
import time
from collections.abc import Callable, Sequence
from functools import cache
from typing import NamedTuple

import pyarrow.compute as pc

from jobs.places import add_place, run_at
from jobs.recipes import check_recipe
from jobs.screen import refreshed
from jobs.spec_file import load_spec
from jobs.status_text import as_json, as_text
from jobs.whereabouts import is_gone
from jobs.wiring import open_run_value
from pipeline.plan.agenda import finished_cohorts, planned_waves
from pipeline.plan.plan import make_plan
from pipeline.report.drivers import DriverStatus, drivers_of
from pipeline.report.eta import Eta, eta_of
from pipeline.report.status import Status, status_of
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
from schemas.manifest import Manifest, RowCount, RunFile, Snapshot
from schemas.wave_id import WaveId

STOPPED = "stopped by its budget"
WATCH_S = 10.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command line."""
    add_place(parser)
    parser.add_argument(
        "--spec",
        help="the YAML file that the run is made by: what is spent is held against its budget",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument(
        "--watch",
        nargs="?",
        type=float,
        const=WATCH_S,
        metavar="SECONDS",
        help=f"look again every so many seconds (default {WATCH_S:g}) until the run is over; "
        "with --json, one object a line",
    )


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
    def is_over(self) -> bool:
        """Whether nothing more will come of it, as things are."""
        return self.sealed or self.state == STOPPED

    @property
    def eta(self) -> Eta:
        """When that will be so."""
        if self.is_over:
            return Eta(0.0, "nothing is left to do")
        return eta_of(self.status, self.drivers)

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
    """Print the status, once or again and again."""
    if args.watch is not None and not args.watch > 0:
        raise UserError(f"--watch: found {args.watch:g}, expected a number of seconds above 0.")
    store = run_at(args)
    run_file = open_run(store)
    look = Looking(store, run_file, _budget(args.spec, run_file) if args.spec else None)
    if args.watch is None:
        standing = look.standing()
        print(json.dumps(as_json(standing), indent=1) if args.json else as_text(standing))
        return 0
    tell = _json_line if args.json else as_text
    refreshed(lambda: _told(look.standing(), tell), args.watch, redraws=not args.json)
    return 0


def _told(standing: Standing, tell: Callable[[Standing], str]) -> tuple[str, bool]:
    """What is said of it, and whether it will be said again."""
    return tell(standing), not standing.is_over


def _json_line(standing: Standing) -> str:
    return json.dumps(as_json(standing))


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
    return Looking(store, open_run(store), budget).standing()


class Looking:
    """Looks at a run again and again: what is committed is read once."""

    def __init__(self, store: Store, run_file: RunFile, budget: BudgetSpec | None = None) -> None:
        check_recipe(run_file)
        self._store, self._run_file, self._budget = store, run_file, budget
        self._run = open_run_value(run_file)
        self._plan = make_plan(self._run.spec, self._run.recipe, self._run.trees)
        self._repairs = 0
        """How many there were at the last look."""
        self._committed: dict[str, Manifest] = {}

    def standing(self) -> Standing:
        """The run as it is now."""
        store, plan, manifests = self._store, self._plan, self._manifests()
        snapshot = latest(store)
        frontiers = {wave: manifest.frontier for wave, manifest in manifests.items()}
        waves = planned_waves(self._run.spec, self._run.recipe, plan, frontiers)
        finished = cache(lambda: finished_cohorts(waves))
        drivers = drivers_of(store, lambda cohort: cohort in finished(), is_gone, time.time())
        return Standing(
            location=store.location,
            status=status_of(plan, manifests.values(), self._budget or _told_budget(drivers)),
            rows=self._run_file.rows,
            cohorts=plan.cohorts,
            asides=add_counts(manifest.counts for manifest in manifests.values()).asides,
            snapshot=snapshot,
            kept_after_refine=_kept_after(store, snapshot) if snapshot else None,
            pilot=_pilot_of(store, self._run.run_id),
            repairs=self._repairs,
            drivers=drivers,
        )

    def _manifests(self) -> dict[str, Manifest]:
        ledger = Ledger(self._store)
        if ledger.repairs.last != self._repairs:
            # What was retired since counts no more.
            self._repairs, self._committed = ledger.repairs.last, {}
        self._committed |= ledger.news(self._committed.keys())
        return self._committed


def _told_budget(drivers: Sequence[DriverStatus]) -> BudgetSpec | None:
    """That of a driver at work, where nobody said which spec the run is made by."""
    told = (one.headway.budget for one in drivers if one.headway and one.at_work)
    return next(told, None)


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
