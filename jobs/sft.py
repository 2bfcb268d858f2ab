"""`arborist sft`: train on task data and a run's rows together, and measure what was kept."""

import argparse
import json
import logging
import sys
import time
from typing import Any, TextIO

from jobs.json_output import kept_for_json
from jobs.training.file import load_sft
from jobs.training.held_out import seen_in_training
from jobs.training.launch import train_as_asked
from jobs.training.measure import Measuring
from jobs.training.output import alone, check_installed, check_resumable, clear, stay_offline
from jobs.training.progress import TrainingProgress
from jobs.training.report import (
    PAGE,
    REPORT,
    mixture_figures,
    mixture_text,
    retention_text,
    write_report,
    write_retention,
)
from jobs.training.stop import TrainingStop
from pipeline.sft.training.places import local
from schemas.sft_spec import SftSpec

EPILOG = """\
A spec names a model, parts (task data, sealed runs) and how much of each, and where it goes:

  model: packaged                  # or a directory
  output: runs/sft-demo
  parts:
    task: {data: {files: task.jsonl}}
    kept: {run: {location: runs/demo}, loss: turns, weight: 1.0}
  mix: {by: tokens, seed: 0}
  training: {learning_rate: 2.0e-5, batch_rows: 8}
  retention:
    texts: {human: {items: texts.jsonl}}

What comes out lies in `output`: the model with its tokenizer, ready to be loaded by transformers
or vLLM; checkpoints; rows as they were prepared; report.json and report.html. `arborist.json`
beside all weights says what they were made of.

The same command goes on where it was stopped, at the step, or finds the training done. SIGINT and
SIGTERM save a checkpoint first; once more stops at once. A loss that is no number stops the
training, and the last good checkpoint stays.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command line."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = EPILOG
    parser.add_argument("spec", help="a YAML file, for example jobs/specs/sft-demo.yaml")
    parser.add_argument("--json", action="store_true", help="print the report as JSON at the end")
    parser.add_argument(
        "--dry-run", action="store_true", help="prepare and print the mixture; train nothing"
    )
    begin = parser.add_mutually_exclusive_group()
    begin.add_argument(
        "--resume", action="store_true", help="go on from a checkpoint, or fail if there is none"
    )
    begin.add_argument(
        "--anew", action="store_true", help="delete what earlier attempts left in the output first"
    )


def run(args: argparse.Namespace) -> int:
    """Train, and report."""
    logging.basicConfig(level=logging.ERROR, format="%(levelname)s %(name)s: %(message)s")
    spec = load_sft(args.spec)
    check_installed()
    stay_offline()
    if args.json:
        with kept_for_json():
            figures = _run(args, spec, sys.stderr)
        print(json.dumps(figures, indent=1))
    else:
        _run(args, spec, sys.stdout)
    return 0


def _run(args: argparse.Namespace, spec: SftSpec, out: TextIO) -> dict[str, Any]:
    stop, output = TrainingStop(), local(spec.output)
    with stop.listening(), alone(output):
        if args.anew:
            clear(output)
        if args.resume:
            check_resumable(output)
        progress = TrainingProgress(out, lambda: stop.asked)
        session = Session(spec, progress, stop)
        return session.rehearsed() if args.dry_run else session.done()


class Session:
    """One call of the command."""

    def __init__(self, spec: SftSpec, progress: TrainingProgress, stop: TrainingStop) -> None:
        from jobs.training.process import prepared

        self._spec, self._progress, self._stop = spec, progress, stop
        self._seconds: dict[str, float] = {}
        self._clock = time.monotonic()
        self._trainee, self._mixture = prepared(spec, progress)
        self._seen = seen_in_training(spec, self._mixture.sources)
        for warning in self._seen:
            progress.say(warning)
        self._took("prepare")

    def rehearsed(self) -> dict[str, Any]:
        """The mixture in words and figures."""
        figures = mixture_figures(self._spec, self._mixture)
        self._progress.say(mixture_text(figures))
        return figures

    def done(self) -> dict[str, Any]:
        """Measured, trained, measured again, and reported."""
        spec, progress = self._spec, self._progress
        measuring = Measuring(spec, self._trainee, progress)
        with progress.showing():
            measuring.before()
            self._took("measure before")
            with self._stop.noted():
                trained = train_as_asked(spec, self._trainee, self._mixture, progress)
            self._took("train")
            retention = measuring.retention(trained.folder)
            self._took("measure after")
        figures = write_report(spec, self._mixture, trained, self._seen, self._seconds)
        write_retention(spec, figures, retention)
        if retention.changes:
            progress.say(retention_text(retention))
        output = local(spec.output)
        progress.say(f"trained {trained.steps:,} steps; the model lies in {trained.folder}")
        progress.say(f"report: {output / REPORT}, {output / PAGE}")
        return figures

    def _took(self, what: str) -> None:
        now = time.monotonic()
        self._seconds[what] = round(now - self._clock, 2)
        self._clock = now
