"""The files in `jobs/templates/`: what is sent to clusters, apart from values."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jobs.spec_yaml import parse_yaml

_FOLDER = Path(__file__).parents[1] / "templates"
_PLACE = re.compile(r"@\{(\w+)\}")


def template(name: str) -> dict[str, Any]:
    """A YAML document, to be completed by whoever asked for it."""
    made: dict[str, Any] = parse_yaml((_FOLDER / name).read_text("utf-8"))
    return made


def schema(name: str) -> dict[str, Any]:
    """A JSON schema."""
    made: dict[str, Any] = json.loads((_FOLDER / name).read_text("utf-8"))
    return made


def filled(name: str, values: Mapping[str, str]) -> str:
    """A text with its places `@{name}` filled; a value is put in as it is."""
    return _PLACE.sub(lambda place: values[place[1]], (_FOLDER / name).read_text("utf-8"))
