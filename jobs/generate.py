"""`arborist generate`: grow the trees of a spec and seal them, or continue where it stopped."""

import argparse
import json
import logging
import secrets
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Set
from contextlib import contextmanager
from typing import NamedTuple, TextIO

from jobs.curation import make_workers
from jobs.garbage import collect_seldom
from jobs.gauging import Gauging
from jobs.json_output import kept_for_json
from jobs.live_view import tokens_beside
from jobs.progress import Progress
from jobs.siblings import siblings
from jobs.spec_file import load_spec
from jobs.stop_switch import StopSwitch
from jobs.whereabouts import here, is_gone
from jobs.wiring import Resolved, make_meter, make_pool, pace_of, rehearsal, resolve
from pipeline.generate import Attempt, Engage, Hands, even_clock, software
from pipeline.outlook import Limits
from pipeline.plan.budget import Limit, amount
from pipeline.plan.plan import make_plan
from pipeline.report.status import Status, Tally
from pipeline.seal import seal
from pipeline.share import Clocks, Share
from pipeline.storage.claims import sweep_claims
from pipeline.storage.engine_uses import write_uses
from pipeline.storage.ledger import Ledger
from pipeline.storage.open import join, open_store, prove_create, retries_of
from pipeline.storage.runs import create_run
from pipeline.storage.snapshots import latest, sweep_orphans
from pipeline.storage.store import Store
from schemas.engine_use import EnginesUsed
from schemas.execution_spec import RunSpec
from schemas.manifest import Manifest, Snapshot, Software
from schemas.records import EngineReport
from schemas.wave_id import WaveId


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command line."""
    parser.add_argument("spec", help="a YAML file, for example jobs/specs/demo.yaml")
    parser.add_argument(
        "--engine",
        choices=["scripted"],
        help="rehearse with scripted engines in this process: no model, no GPU, no Ray; "
        "the rehearsal is a run of its own",
    )
    parser.add_argument("--location", help="instead of execution.location")
    parser.add_argument("--json", action="store_true", help="print one JSON object at the end")


def run(args: argparse.Namespace) -> int:
    """Generate."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    collect_seldom()
    spec = load_spec(args.spec)
    if args.engine:
        spec = rehearsal(spec)
    if args.location:
        moved = spec.execution.model_copy(update={"location": args.location})
        spec = spec.model_copy(update={"execution": moved})
    if args.json:
        with kept_for_json():
            done = generate(spec, sys.stderr)
    else:
        done = generate(spec, sys.stdout)
    figures = summary(done)
    if args.json:
        print(json.dumps(figures | {"already_done": not done.news}, indent=1))
    else:
        print(sentence(figures, already_done=not done.news) + over_text(done))
    return 0


class Done(NamedTuple):
    """A sealed run."""

    store: Store
    snapshot: Snapshot
    status: Status
    limits: tuple[Limit, ...] = ()
    """Of its budget, with what is spent of each."""
    news: bool = True
    """Whether this call did any of it."""
    in_vain: int = 0
    """Waves made by this call that another driver committed first."""

    @property
    def spent(self) -> str | None:
        """Why the budget ended it."""
        if self.snapshot.complete:
            return None
        reached = (limit for limit in self.limits if limit.reached)
        words = (f"execution.budget.{limit.name}: {limit} are spent" for limit in reached)
        return next(words, "the budget leaves no room for another cohort")

    @property
    def over(self) -> tuple[Limit, ...]:
        """The limits that it went beyond."""
        return tuple(limit for limit in self.limits if limit.spent > limit.allowed)

    @property
    def cohorts(self) -> int:
        """How many are sealed."""
        return len({WaveId.parse(entry.wave).cohort for entry in self.snapshot.manifests})


def generate(spec: RunSpec, out: TextIO) -> Done:
    """Grow the run of a spec until it is sealed."""
    switch = StopSwitch(spec.execution.grace_s)
    with switch.listening():
        return _generate(spec, out, switch)


def _generate(spec: RunSpec, out: TextIO, switch: StopSwitch) -> Done:
    resolved = resolve(spec)
    attempt = secrets.token_hex(4)
    execution = spec.execution
    run_id = resolved.run_file.run_id
    store = open_store(join(execution.location, run_id), execution.storage_options)
    prove_create(store, attempt)
    resolved = resolved._replace(run_file=create_run(store, resolved.run_file))
    ledger = Ledger(store)
    before = ledger.all()
    run = resolved.run
    tally = Tally(make_plan(run.spec, run.recipe, run.trees), execution.budget)
    for manifest in before.values():
        tally.add(manifest)
    done = latest(store)
    if done is not None and done.complete:
        # A driver that was killed after another one sealed leaves files that nobody needs.
        sweep_orphans(store, done)
        sweep_claims(store)
        return Done(store, done, tally.status(), tally.status().limits, news=False)
    gauging = Gauging(lambda: retries_of(store), execution.budget)
    growth = Growth(spec, resolved, ledger, attempt, Progress(switch, tally, out, gauging))
    with switch.heeded():
        grown = growth.run(before)
    snapshot = seal(store, resolved.run_file, run.recipe, partial=not grown.whole)
    news = snapshot != done
    return Done(store, snapshot, tally.status(), grown.limits, news, grown.in_vain)


class Grown(NamedTuple):
    """What an attempt came to."""

    whole: bool
    """Whether nothing remains that the budget leaves out."""
    limits: tuple[Limit, ...]
    in_vain: int


class Growth(NamedTuple):
    """One attempt at a run, with all that it needs."""

    spec: RunSpec
    resolved: Resolved
    ledger: Ledger
    attempt: str
    progress: Progress

    def run(self, before: Mapping[str, Manifest]) -> Grown:
        """Grow what remains, as far as it is this driver's."""
        execution, clock = self.spec.execution, even_clock()
        me = here(self.attempt, execution.claim_s)
        attempt = Attempt(
            self.resolved.run,
            ledger=self.ledger,
            share=Share(
                self.ledger.store, me, is_gone, Clocks(clock), self.progress.gauging.headway
            ),
            pace=pace_of(self.spec),
            watch=self.progress,
        )
        limits = Limits(execution.max_failed_share, execution.budget, execution.drivers)
        engage = self.engaging(before)
        try:
            whole = attempt.generate(engage, before, limits, clock=clock)
        finally:
            self.progress.flush()
        return Grown(whole, attempt.limits(), attempt.in_vain)

    def engaging(self, before: Mapping[str, Manifest]) -> Engage:
        """How engines and workers are loaded and let go, and what is said of it."""
        states = iter([f"continuing after {len(before)} waves" if before else "starting"])
        known = {entry for manifest in before.values() for entry in manifest.software}
        notes = [] if before else list(siblings(self.spec.execution, self.resolved.run_file))
        for line in [*notes, *_warnings(self.resolved)]:
            self.progress.say(line)
        return lambda: self._engaged(next(states, "going on"), known)

    @contextmanager
    def _engaged(self, state: str, known: Set[Software]) -> Iterator[Hands]:
        progress, run_file = self.progress, self.resolved.run_file
        where = self.ledger.store.location
        progress.say(f"run {where}: {state}, attempt {self.attempt}; loading engines")
        pool, workers = make_pool(self.spec, run_file), make_workers(self.spec, run_file)
        began = time.monotonic()
        try:
            with progress.switch.at_once():
                pool.start()
                workers.start()
            _note_other_software(known, pool.reports(), progress)
            meter = make_meter(self.spec, run_file, self.attempt)
            with (
                self._recorded(loading_s=time.monotonic() - began),
                progress.gauging.telling(meter),
                progress.showing(),
            ):
                yield Hands(pool, workers, self.resolved.plant)
        finally:
            workers.close()
            pool.close(progress.switch.patience_s)

    @contextmanager
    def _recorded(self, *, loading_s: float) -> Iterator[None]:
        """What engines do inside is left in the run's location afterwards."""
        began_at = time.time()
        try:
            yield
        finally:
            used = EnginesUsed(
                run_id=self.resolved.run_file.run_id,
                attempt=self.attempt,
                began_at=began_at,
                loading_s=loading_s,
                engines=self.progress.gauging.uses(),
            )
            write_uses(self.ledger.store, used)


def _warnings(resolved: Resolved) -> Iterator[str]:
    """What a person should know before the first wave."""
    rows, biases = resolved.run_file.rows, resolved.run.recipe.biases(resolved.run.spec)
    if rows.bad:
        first = rows.examples[0]
        yield (
            f"note: {rows.bad:,} of {rows.good + rows.bad:,} rows cannot be grown from and are "
            f"left out; the first is {first.where}: {first.why}."
        )
    if biases:
        yield f"note: no unbiased sample of the model, because of: {', '.join(biases)}."


def _note_other_software(
    known: Set[Software], reports: Iterable[EngineReport], progress: Progress
) -> None:
    """A run may go on under other versions or hardware; it says so, and the snapshot lists all."""
    for new in sorted({software(report) for report in reports} - known, key=repr):
        if known:
            progress.say(
                f"note: earlier waves were made under other software; these engines are {new!r}. "
                "Texts at equal seeds may differ; the snapshot will list both."
            )


def summary(done: Done) -> dict[str, object]:
    """The figures of a sealed run."""
    snapshot, status = done.snapshot, done.status
    return {
        "location": done.store.location,
        "run_id": snapshot.run_id,
        "snapshot": snapshot.number,
        "complete": snapshot.complete,
        "waves": len(snapshot.manifests),
        "asked": snapshot.counts.asked,
        "kept": snapshot.counts.kept,
        "dropped": snapshot.counts.dropped,
        "given": snapshot.counts.given,
        "asides": snapshot.counts.asides,
        "output_tokens": snapshot.counts.output_tokens,
        "aside_tokens": snapshot.counts.aside_tokens,
        "unused_tokens": snapshot.counts.unused_tokens,
        "spent": done.spent,
        "cohorts": done.cohorts,
        "waves_in_vain": done.in_vain,
        "over_budget": {limit.name: limit.spent - limit.allowed for limit in done.over},
        "biases": snapshot.biases,
        "busy_s": round(status.busy_s, 2),
        "tokens_per_s": round(status.tokens_per_s, 1),
    }


def _given(figures: dict[str, object]) -> str:
    given = figures["given"]
    return f"references that stand in for an answer: {given:,}; " if given else ""


def over_text(done: Done) -> str:
    """By how much a budget was exceeded, and why it had to be."""
    if not done.over:
        return ""
    over = ", ".join(
        f"execution.budget.{limit.name} by {amount(limit.spent - limit.allowed)} "
        f"({limit.spent / limit.allowed - 1:.1%})"
        for limit in done.over
    )
    why = (
        "one cohort takes more than that (generation.bounds.trees_per_cohort makes smaller ones, "
        "in a run of its own)"
        if done.cohorts == 1
        else "cohorts that have begun are finished"
    )
    return f" It went beyond {over}, as {why}."


def sentence(figures: dict[str, object], *, already_done: bool) -> str:
    """The same for a person."""
    dropped = figures["dropped"]
    assert isinstance(dropped, dict)
    about, unused = figures["aside_tokens"], figures["unused_tokens"]
    assert isinstance(about, int)
    assert isinstance(unused, int)
    beside = tokens_beside(about, unused)
    reasons = ", ".join(f"{n:,} {reason}" for reason, n in dropped.items()) or "none"
    begin = "was sealed already" if already_done else "is sealed"
    if not figures["complete"]:
        begin += (
            f" in part, as snapshot {figures['snapshot']}, because {figures['spent']} (a larger "
            "execution.budget continues it)"
        )
    begin += "; nothing was done" if already_done else ""
    return (
        f"run {figures['location']} {begin}: {figures['kept']:,} of {figures['asked']:,} "
        f"candidates kept in {figures['waves']:,} waves, dropped: {reasons}; {_given(figures)}"
        f"{figures['output_tokens']:,} tokens{beside} in {figures['busy_s']:,} s, "
        f"{figures['tokens_per_s']:,} tokens/s."
    )
