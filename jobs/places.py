"""The run that a command names, and how its store is reached."""

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from pipeline.storage.open import find_run
from pipeline.storage.store import Store
from schemas.errors import UserError
from schemas.secrets import BELONG, secret_options

_FLAG = "--storage-options"


def add_place(parser: argparse.ArgumentParser) -> None:
    """The run, and the options of its store."""
    parser.add_argument("uri", help="a run's folder, or the folder with the one run in it")
    parser.add_argument(
        _FLAG,
        metavar="OPTIONS",
        help="execution.storage_options of the run's spec, where it has any: a mapping as JSON, "
        "or a YAML file with one",
    )


def run_at(args: argparse.Namespace) -> Store:
    """The store of the run that was named."""
    return find_run(args.uri, options_of(args))


def options_of(args: argparse.Namespace) -> Mapping[str, Any]:
    """How stores are to be reached."""
    if args.storage_options is None:
        return {}
    try:
        written = args.storage_options
        found = yaml.safe_load(
            written if written.lstrip().startswith("{") else Path(written).read_text("utf-8")
        )
    except OSError as error:
        raise UserError(f"{_FLAG}: {error.filename}: cannot be read: {error.strerror}.") from error
    except (yaml.YAMLError, ValueError) as error:
        raise UserError(f"{_FLAG}: is neither JSON nor YAML; {_EXPECTED}.") from error
    if not isinstance(found, dict) or not all(isinstance(name, str) for name in found):
        raise UserError(f"{_FLAG}: found {type(found).__name__}, {_EXPECTED}.")
    if secrets := list(secret_options(found)):
        raise UserError(f"{_FLAG}: {', '.join(secrets)}: found a secret. {BELONG}.")
    return found


_EXPECTED = 'expected a mapping, such as \'{"endpoint_url": "http://127.0.0.1:9000"}\''
