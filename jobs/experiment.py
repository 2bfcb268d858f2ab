"""`arborist experiment`: compare ways of keeping what a model knows: arms, seeds, one table."""

import argparse
import sys
from typing import TextIO

from jobs.experiments.driver import Chosen, Driver
from jobs.experiments.file import Experiment, load_experiment
from jobs.experiments.folder import ExperimentFolder
from jobs.experiments.progress import Show
from jobs.experiments.report import FILES, write_report
from jobs.json_output import kept_for_json
from jobs.training.output import alone
from pipeline.experiment.grids import grids
from schemas.errors import SpecError
from schemas.experiment_result import ExperimentResult

EPILOG = """\
An arm at a seed is a cell. A cell that is done is never done again, so the same command goes on
where it was stopped, within a cell from its last checkpoint; --arms and --seeds do a piece at a
time. What came out so far lies in the spec's `output`: results.json, table.md, report.html.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command line."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = EPILOG
    parser.add_argument("spec", help="a YAML file, for example jobs/specs/forgetting-tiny.yaml")
    parser.add_argument("--arms", metavar="A,B", help="only these; all, where it is not said")
    parser.add_argument("--seeds", metavar="N,M", help="only these; all, where it is not said")
    parser.add_argument(
        "--only-report", action="store_true", help="train nothing; report on what is there"
    )
    parser.add_argument("--json", action="store_true", help="print results.json at the end")


def run(args: argparse.Namespace) -> int:
    """Run it, or what is left of it."""
    if args.json:
        with kept_for_json():
            result, failed = _run(args, sys.stderr)
        print(result.model_dump_json(indent=1))
    else:
        result, failed = _run(args, sys.stdout)
    return 1 if failed else 0


def _run(args: argparse.Namespace, out: TextIO) -> tuple[ExperimentResult, list[str]]:
    experiment = load_experiment(args.spec)
    chosen = _chosen(args, experiment)
    folder, show = ExperimentFolder(experiment.spec.output), Show(out)
    failed: list[str] = []
    if not args.only_report:
        with alone(folder.root):
            failed = Driver(experiment, folder, show).run(chosen)
    result = write_report(experiment, folder, args.spec)
    # The longest is for looking things up, and stands in the files.
    for grid in grids(result)[:3]:
        show.grid(grid)
    if result.missing:
        show.say(f"not done yet: {', '.join(result.missing)}")
    for words in failed:
        show.say(f"failed: {words}")
    show.say(f"{', '.join(FILES)} lie in {folder.root}")
    return result, failed


def _chosen(args: argparse.Namespace, experiment: Experiment) -> Chosen:
    arms = experiment.chosen(args.arms.split(",") if args.arms else None)
    if args.seeds is None:
        return Chosen(arms, None)
    known = [*experiment.spec.seeds.choose, *experiment.spec.seeds.judge]
    try:
        seeds = [int(seed) for seed in args.seeds.split(",")]
    except ValueError as error:
        raise SpecError(f"--seeds: found {args.seeds}, expected numbers as in 1,2.") from error
    if unknown := [seed for seed in seeds if seed not in known]:
        names = ", ".join(map(str, unknown))
        expected = ", ".join(map(str, known))
        raise SpecError(f"--seeds: found {names}, expected some of those in the spec: {expected}.")
    return Chosen(arms, seeds)
