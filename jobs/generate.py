"""`arborist generate`: grow the trees of a spec and seal them, or continue where it stopped."""

import argparse
import json
import logging
import secrets
import sys
from collections.abc import Iterable, Mapping
from typing import NamedTuple, TextIO

from jobs.curation import make_workers
from jobs.progress import Progress, StopSwitch
from jobs.siblings import siblings
from jobs.spec_file import load_spec
from jobs.wiring import make_pool, open_run_value, pace_of, rehearsal, resolve
from pipeline.generate import Attempt, Hands, software
from pipeline.recipes import RECIPES
from pipeline.report.status import Status, Tally
from pipeline.seal import seal
from pipeline.storage.ledger import Ledger
from pipeline.storage.open import join, open_store, prove_create
from pipeline.storage.runs import create_run
from pipeline.storage.snapshots import latest, sweep_orphans
from pipeline.storage.store import Store
from schemas.execution_spec import RunSpec
from schemas.manifest import Manifest, RunFile, Snapshot
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
    out = sys.stderr if args.json else sys.stdout
    done = generate(spec, out)
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
    news: bool
    """Whether this call did any of it."""


def generate(spec: RunSpec, out: TextIO) -> Done:
    """Grow the run of a spec until it is sealed."""
    run_file = resolve(spec)
    attempt = secrets.token_hex(4)
    execution = spec.execution
    store = open_store(join(execution.location, run_file.run_id), execution.storage_options)
    prove_create(store, attempt)
    run_file = create_run(store, run_file)
    before = Ledger(store).all()
    tally = Tally(run_file.generation, RECIPES[run_file.generation.recipe])
    for manifest in before.values():
        tally.add(manifest)
    done = latest(store)
    if done is not None and done.complete:
        # A driver that was killed after another one sealed leaves shards that nobody names.
        sweep_orphans(store, done)
        return Done(store, done, tally.status(), news=False)
    progress = Progress(StopSwitch(), tally, out)
    _grow(spec, run_file, store, attempt, before, progress)
    return Done(store, seal(store, run_file), tally.status(), news=True)


def _grow(
    spec: RunSpec,
    run_file: RunFile,
    store: Store,
    attempt: str,
    before: Mapping[str, Manifest],
    progress: Progress,
) -> None:
    state = f"continuing after {len(before)} waves" if before else "starting"
    for line in [] if before else siblings(spec.execution, run_file):
        progress.say(line)
    progress.say(f"run {store.location}: {state}, attempt {attempt}; loading engines")
    hands = Hands(make_pool(spec, run_file), make_workers(spec, run_file))
    pool = hands.pool
    with progress.switch.listening():
        try:
            pool.start()
            hands.workers.start()
            _note_other_software(before.values(), pool.reports(), progress)
            run = open_run_value(run_file)
            with progress.showing():
                Attempt(
                    run,
                    attempt,
                    store=store,
                    hands=hands,
                    pace=pace_of(spec.execution),
                    watch=progress,
                ).generate(before, max_failed_share=spec.execution.max_failed_share)
        finally:
            hands.workers.close()
            pool.close()


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
        "output_tokens": snapshot.counts.output_tokens,
        "busy_s": round(status.busy_s, 2),
        "tokens_per_s": round(status.tokens_per_s, 1),
    }


def sentence(figures: dict[str, object], *, already_done: bool) -> str:
    """The same for a person."""
    dropped = figures["dropped"]
    assert isinstance(dropped, dict)
    reasons = ", ".join(f"{n:,} {reason}" for reason, n in dropped.items()) or "none"
    begin = "was already sealed, nothing was done" if already_done else "is sealed"
    return (
        f"run {figures['location']} {begin}: {figures['kept']:,} of {figures['asked']:,} "
        f"candidates kept in {figures['waves']:,} waves, dropped: {reasons}; "
        f"{figures['output_tokens']:,} tokens in {figures['busy_s']:,} s, "
        f"{figures['tokens_per_s']:,} tokens/s."
    )
