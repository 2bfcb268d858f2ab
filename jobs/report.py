"""`arborist report`: what a run is, or two side by side, as one page and one JSON."""

import argparse
import json
import os
import sys
import webbrowser
from argparse import Namespace
from collections.abc import Mapping, Sequence
from pathlib import Path

from jobs.places import add_place, options_of, run_at
from jobs.report_run import read_report
from jobs.report_text import as_text
from jobs.spec_file import load_spec
from pipeline.report.content import RunReport, as_json
from pipeline.report.page.page import page
from pipeline.report.page.standalone import plots_of
from pipeline.storage.model_folder import is_in_store
from pipeline.storage.open import find_run
from pipeline.storage.runs import open_run
from pipeline.storage.store import Store
from schemas.errors import LocationError, UserError
from schemas.execution_spec import RunSpec

PAGE, FIGURES = "report.html", "report.json"
_YES_NO = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command line."""
    add_place(parser)
    parser.add_argument("other", nargs="?", help="a second run, to be shown beside the first")
    parser.add_argument(
        "--out",
        metavar="DIR",
        help=f"leave {PAGE} and {FIGURES} there (default: in the folder that holds the run's own; "
        "of a run in a store, here)",
    )
    parser.add_argument(
        "--spec",
        help="the YAML file that the run is made by: the licences of model and data are looked up "
        "where it says that they lie",
    )
    parser.add_argument(
        "--plots", metavar="DIR", help="leave every plot there too, as an SVG file of its own"
    )
    parser.add_argument("--seed", type=int, default=0, help="by which texts are drawn (default: 0)")
    parser.add_argument(
        "--open",
        type=_yes_no,
        nargs="?",
        const=True,
        metavar="true|false",
        help="show the page in a browser (default: where a person is at a screen)",
    )
    parser.add_argument(
        "--no-open", dest="open", action="store_false", default=None, help="do not show it"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(args: Namespace) -> int:
    """Read, write, and show."""
    stores = [run_at(args)]
    if args.other is not None:
        stores.append(find_run(args.other, options_of(args)))
    if args.seed < 0:
        raise UserError(f"--seed: found {args.seed}, expected a number from 0.")
    folder, specs = _folder(args.out, stores[0]), _specs(args.spec, stores)
    plots = _local(args.plots, "--plots") if args.plots else None
    reports = tuple(
        read_report(store, spec, seed=args.seed) for store, spec in zip(stores, specs, strict=True)
    )
    _leave(folder, reports, plots)
    if args.json:
        print(json.dumps(as_json(reports), indent=1))
    else:
        print(as_text(reports, folder / PAGE))
    if _shall_open(args):
        webbrowser.open((folder / PAGE).as_uri())
    return 0


def _specs(location: str | None, stores: Sequence[Store]) -> list[RunSpec | None]:
    """By run, the spec where it is that run's."""
    if location is None:
        return [None] * len(stores)
    spec = load_spec(location)
    ours = [open_run(store).generation == spec.generation for store in stores]
    if not any(ours):
        raise UserError(
            f"--spec: {location}: its section `generation` is not that of {stores[0].location}; "
            "name the file that the run is made by."
        )
    return [spec if own else None for own in ours]


def _yes_no(text: str) -> bool:
    if text.lower() not in _YES_NO:
        raise argparse.ArgumentTypeError(f"found {text!r}, expected true or false")
    return _YES_NO[text.lower()]


def _folder(out: str | None, store: Store) -> Path:
    """Where the files are left."""
    if out is not None:
        return _local(out, "--out")
    if is_in_store(store.location):
        return Path().resolve()
    return Path(store.location.removeprefix("file://")).parent.resolve()


def _local(location: str, flag: str) -> Path:
    if is_in_store(location):
        raise UserError(f"{flag}: {location}: expected a folder of this machine.")
    return Path(location.removeprefix("file://")).expanduser().resolve()


def _leave(folder: Path, reports: Sequence[RunReport], plots: Path | None) -> None:
    shown = page(reports)
    _write(folder, {PAGE: shown, FIGURES: json.dumps(as_json(tuple(reports)), indent=1)})
    if plots is not None:
        _write(plots, dict(plots_of(shown)))


def _write(folder: Path, texts: Mapping[str, str]) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in texts.items():
            (folder / name).write_text(text, "utf-8")
    except OSError as error:
        raise LocationError(
            f"{folder}: the report cannot be written there: {error.strerror}. Name another folder "
            "with --out or --plots."
        ) from error


def _shall_open(args: Namespace) -> bool:
    """As asked; else where somebody sees it, and no browser of the terminal takes it over."""
    if args.open is not None:
        return bool(args.open)
    screen = sys.platform != "linux" or any(map(os.environ.get, ("DISPLAY", "WAYLAND_DISPLAY")))
    return sys.stdout.isatty() and screen and not args.json and "SSH_CONNECTION" not in os.environ
