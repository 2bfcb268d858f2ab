"""The run that a command names, and how its store is reached."""

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jobs.recipes import look_in
from jobs.spec_yaml import BROKEN, parse_yaml, read_text
from pipeline.storage.open import find_run
from pipeline.storage.store import Store
from schemas.errors import SpecError, UserError
from schemas.secrets import BELONG, secret_options

_FLAG = "--storage-options"
_RECIPE_FROM = "--recipe-from"


def add_place(parser: argparse.ArgumentParser, *, reads_recipe: bool = True) -> None:
    """The run, the options of its store, and where the recipe that it names may lie."""
    parser.add_argument("uri", help="a run's folder, or the folder with the one run in it")
    parser.add_argument(
        _FLAG,
        metavar="OPTIONS",
        help="execution.storage_options of the run's spec, where it has any: a mapping as JSON, "
        "or a YAML file with one",
    )
    if reads_recipe:
        parser.add_argument(
            _RECIPE_FROM,
            metavar="DIR",
            help="run code of this folder, where the run's own recipe lies there; no folder is "
            "looked in otherwise, since a stranger's run may bring code along",
        )


def run_at(args: argparse.Namespace) -> Store:
    """The store of the run that was named; its recipe is found from now on where that was said."""
    if args.recipe_from is not None:
        folder = Path(args.recipe_from)
        if not folder.is_dir():
            raise UserError(
                f"{_RECIPE_FROM}: {folder}: expected the folder of the recipe's module."
            )
        look_in(folder)
    return find_run(args.uri, options_of(args))


def options_of(args: argparse.Namespace) -> Mapping[str, Any]:
    """How stores are to be reached."""
    if args.storage_options is None:
        return {}
    given = args.storage_options
    try:
        found = parse_yaml(given if given.lstrip().startswith("{") else read_text(given))
    except SpecError as error:
        raise UserError(f"{_FLAG}: {error}") from error
    # What is wrong is not shown: the place may be full of secrets.
    except BROKEN as error:
        raise UserError(f"{_FLAG}: is neither JSON nor YAML; {_EXPECTED}.") from error
    if not isinstance(found, dict) or not all(isinstance(name, str) for name in found):
        raise UserError(f"{_FLAG}: found {type(found).__name__}, {_EXPECTED}.")
    if secrets := list(secret_options(found)):
        raise UserError(f"{_FLAG}: {', '.join(secrets)}: found a secret. {BELONG}.")
    return found


_EXPECTED = 'expected a mapping, such as \'{"endpoint_url": "http://127.0.0.1:9000"}\''
