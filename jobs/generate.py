"""`arborist generate`: grow the trees of a spec and seal them, or continue where it stopped."""

import argparse
import json
import logging
import secrets
import sys
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple, TextIO

from jobs.curation import make_workers
from jobs.json_output import kept_for_json
from jobs.progress import Progress, StopSwitch
from jobs.siblings import siblings
from jobs.spec_file import load_spec
from jobs.wiring import Resolved, make_pool, pace_of, rehearsal, resolve
from pipeline.generate import Attempt, Hands, Limits, software
from pipeline.plan.agenda import Agenda
from pipeline.plan.budget import exhausted, spent_of
from pipeline.plan.plan import Plan, make_plan
from pipeline.report.status import Status, Tally
from pipeline.seal import seal
from pipeline.storage.ledger import Ledger
from pipeline.storage.open import join, open_store, prove_create
from pipeline.storage.runs import create_run
from pipeline.storage.snapshots import latest, sweep_orphans
from pipeline.storage.store import Store
from pipeline.tree.run import Run
from schemas.execution_spec import RunSpec
from schemas.manifest import Manifest, Snapshot
from schemas.records import EngineReport


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
        print(sentence(figures, already_done=not done.news))
    return 0


class Done(NamedTuple):
    """A sealed run."""

    store: Store
    snapshot: Snapshot
    status: Status
    spent: str | None = None
    """The limit of the budget that ended it, in words."""
    news: bool = True
    """Whether this call did any of it."""


def generate(spec: RunSpec, out: TextIO) -> Done:
    """Grow the run of a spec until it is sealed."""
    resolved = resolve(spec)
    attempt = secrets.token_hex(4)
    execution = spec.execution
    run_id = resolved.run_file.run_id
    store = open_store(join(execution.location, run_id), execution.storage_options)
    prove_create(store, attempt)
    resolved = resolved._replace(run_file=create_run(store, resolved.run_file))
    before = Ledger(store).all()
    run = resolved.run
    plan = make_plan(run.spec, run.recipe, run.trees)
    tally = Tally(plan, execution.budget)
    for manifest in before.values():
        tally.add(manifest)
    done = latest(store)
    if done is not None and done.complete:
        # A driver that was killed after another one sealed leaves shards that nobody names.
        sweep_orphans(store, done)
        return Done(store, done, tally.status(), news=False)
    spent = exhausted(execution.budget, spent_of(before.values()))
    if spent is None or _unfinished(run, plan, before):
        progress = Progress(StopSwitch(), tally, out)
        whole = _grow(spec, resolved, store, attempt, before, progress)
        spent = None if whole else _limit(spec, store)
    snapshot = seal(store, resolved.run_file, run.recipe, partial=spent is not None)
    return Done(store, snapshot, tally.status(), spent, news=snapshot != done)


def _limit(spec: RunSpec, store: Store) -> str:
    """What the budget says, once it admits no further cohort."""
    now = spent_of(Ledger(store).all().values())
    return exhausted(spec.execution.budget, now) or "the budget leaves no room for another cohort"


def _unfinished(run: Run, plan: Plan, before: Mapping[str, Manifest]) -> bool:
    """Whether a cohort was begun that is not whole."""
    committed = {name: manifest.frontier for name, manifest in before.items()}
    return Agenda(run.spec, run.recipe, plan, committed, lambda: False).next() is not None


def _grow(
    spec: RunSpec,
    resolved: Resolved,
    store: Store,
    attempt: str,
    before: Mapping[str, Manifest],
    progress: Progress,
) -> bool:
    """Whether nothing remains that the budget leaves out."""
    run_file = resolved.run_file
    state = f"continuing after {len(before)} waves" if before else "starting"
    for line in [] if before else siblings(spec.execution, run_file):
        progress.say(line)
    for line in _warnings(resolved):
        progress.say(line)
    progress.say(f"run {store.location}: {state}, attempt {attempt}; loading engines")
    hands = Hands(make_pool(spec, run_file), make_workers(spec, run_file), resolved.plant)
    pool = hands.pool
    with progress.switch.listening():
        try:
            pool.start()
            hands.workers.start()
            _note_other_software(before.values(), pool.reports(), progress)
            with progress.showing():
                return Attempt(
                    resolved.run,
                    attempt,
                    store=store,
                    hands=hands,
                    pace=pace_of(spec),
                    watch=progress,
                ).generate(before, Limits(spec.execution.max_failed_share, spec.execution.budget))
        finally:
            hands.workers.close()
            pool.close()


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
    before: Iterable[Manifest], reports: Iterable[EngineReport], progress: Progress
) -> None:
    """A run may go on under other versions or hardware; it says so, and the snapshot lists all."""
    known = {entry for manifest in before for entry in manifest.software}
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
        "spent": done.spent,
        "biases": snapshot.biases,
        "busy_s": round(status.busy_s, 2),
        "tokens_per_s": round(status.tokens_per_s, 1),
    }


def _given(figures: dict[str, object]) -> str:
    given = figures["given"]
    return f"references that stand in for an answer: {given:,}; " if given else ""


def sentence(figures: dict[str, object], *, already_done: bool) -> str:
    """The same for a person."""
    dropped = figures["dropped"]
    assert isinstance(dropped, dict)
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
        f"{figures['output_tokens']:,} tokens in {figures['busy_s']:,} s, "
        f"{figures['tokens_per_s']:,} tokens/s."
    )
