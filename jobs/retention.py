"""`arborist retention`: what a model knows, or what it kept of another's knowledge."""

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict

from jobs.json_output import kept_for_json
from jobs.spec_file import validated
from jobs.spec_yaml import read_yaml
from jobs.trainee import load_trainee
from jobs.training.measure import measure_as_asked
from jobs.training.output import check_installed, stay_offline
from jobs.training.progress import TrainingProgress
from schemas.errors import LocationError, SpecError
from schemas.retention import Measured, Retention
from schemas.sft_spec import RetentionSpec

if TYPE_CHECKING:
    from pipeline.sft.trainee import Trainee

EPILOG = """\
The spec names items, all of them optional:

  retention:
    choices: {capitals: {items: capitals.jsonl}}       # question, choices, answer
    texts: {human: {items: texts.jsonl}}               # perplexity
    samples: {own: {run: runs/held-out}}               # KL and CKA, with --against
    task: {gsm: {data: {files: gsm-test.jsonl}, generate: true}}
    harness: {tasks: [arc_easy], limit: 200}           # needs the extra `harness`

The file of a training (`arborist sft`) has such a section too. With --against, both models are
measured on the same items, and differences are taken item by item.
"""
MEASURED, COMPARED, PAGE = "measured.json", "retention.json", "retention.html"


class _File(BaseModel):
    """What is read of a file, which may be a training's."""

    model_config = ConfigDict(extra="ignore")

    retention: RetentionSpec
    storage_options: dict[str, Any] = {}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command line."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = EPILOG
    parser.add_argument("model", help="the directory of a model; or a packaged one's name")
    parser.add_argument(
        "--against", metavar="ORIGINAL", help="the model that it was trained from, measured too"
    )
    parser.add_argument(
        "--spec", required=True, metavar="FILE", help="a YAML file with a section `retention:`"
    )
    parser.add_argument(
        "--out",
        metavar="DIR",
        help=f"leave {COMPARED} and {PAGE} there ({MEASURED} without --against)",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> int:
    """Measure, and report."""
    file = _read(args.spec)
    check_installed()
    if file.retention.harness is None:
        stay_offline()
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    if args.json:
        with kept_for_json():
            found = _measured(args, file)
        print(found.model_dump_json(indent=1))
    else:
        found = _measured(args, file)
        print(_as_text(found))
    return 0


def _read(location: str) -> _File:
    content = read_yaml(location)
    if not isinstance(content, dict) or not isinstance(content.get("retention"), dict):
        raise SpecError(
            f"{location}: found no section `retention:` with items to measure; expected one, as "
            "`arborist retention --help` shows it."
        )
    return validated(_File, content, location)


def _measured(args: argparse.Namespace, file: _File) -> Measured | Retention:
    """One model, or two compared; left in the folder if one is named."""
    model = load_trainee(args.model)
    original = load_trainee(args.against) if args.against else None
    folder = _folder(args.out) if args.out else None
    progress = TrainingProgress(sys.stderr)
    with progress.showing():
        if original is None:
            found: Measured | Retention = _measure(file, model, None, progress)
        else:
            from pipeline.retention.compare import compare

            before = _measure(file, original, original, progress)
            found = compare(before, _measure(file, model, original, progress))
    if folder is not None:
        _leave(folder, found)
    return found


def _measure(
    file: _File, model: "Trainee", original: "Trainee | None", progress: TrainingProgress
) -> Measured:
    progress.say(f"measuring {model.location}")
    options, watch = file.storage_options, progress.measuring
    return measure_as_asked(file.retention, model, original, options, watch)


def _folder(location: str) -> Path:
    folder = Path(location).expanduser()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise LocationError(f"--out: {folder} cannot be made: {error.strerror}.") from error
    return folder


def _leave(folder: Path, found: Measured | Retention) -> None:
    name = MEASURED if isinstance(found, Measured) else COMPARED
    (folder / name).write_text(found.model_dump_json(indent=1), "utf-8")
    if isinstance(found, Retention):
        from pipeline.retention.page import Story, page

        story = Story(title="What was kept, and what changed")
        (folder / PAGE).write_text(page(found, story), "utf-8")


def _as_text(found: Measured | Retention) -> str:
    if isinstance(found, Retention):
        from jobs.training.report import retention_text

        return retention_text(found)
    figures = [f"{name:<44}{value:>10.4f}" for name, value in found.figures().items()]
    return "\n".join([*figures, *found.notes()])
