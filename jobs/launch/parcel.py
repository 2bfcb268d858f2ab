"""The parcel: a spec as it runs elsewhere, and the names that it goes by there.

`execution` is rewritten so that engines lie on the cluster that the job is started on; `generation`
is not touched, so the run is the same run, wherever it is continued.
"""

import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from jobs.launch.yaml_text import document
from jobs.spec_file import parse_spec
from jobs.spec_yaml import read_mapping
from schemas.execution_spec import RunSpec
from schemas.fingerprint import canonical, digest

_THERE = {"pool": "ray", "ray_address": "auto"}
"""Whoever starts the job there starts it on a node of the cluster."""
_LONGEST_NAME = 40
_CLOSING_S = 30
"""What a driver needs beside its `grace_s`."""


class Parcel(NamedTuple):
    """A run on its way to another machine."""

    name: str
    """For people."""
    key: str
    """Of what is asked for and where it shall lie: equal for one and the same run."""
    spec: RunSpec
    """As it will be read there."""
    text: str
    """The same as YAML."""

    @property
    def leave_s(self) -> int:
        """What a driver needs to end, from when it is told to until it may be killed."""
        return math.ceil(self.spec.execution.grace_s) + _CLOSING_S


def pack(file: str, location: str | None = None) -> Parcel:
    """The parcel of a spec's file, its run at another location if one is given."""
    content = read_mapping(file, "the two sections `generation:` and `execution:`")
    asked = parse_spec(content, name=file, beside=Path.cwd())
    moved: dict[str, Any] = {"location": location} if location else {}
    there = content | {"execution": {**content["execution"], **moved, **_THERE}}
    spec = parse_spec(there, name=file, beside=Path.cwd())
    name = asked.execution.launch.name or _name_of(file)
    return Parcel(name, _key(spec), spec, document(there))


def repack(parcel: Parcel, changed: Callable[[dict[str, Any]], dict[str, Any]]) -> Parcel:
    """The same run with another `execution`."""
    content = yaml.safe_load(parcel.text)
    there = content | {"execution": changed(content["execution"])}
    spec = parse_spec(there, name=parcel.name, beside=Path.cwd())
    return parcel._replace(spec=spec, text=document(there))


def _key(spec: RunSpec) -> str:
    location = spec.execution.location
    if "://" not in location:
        location = str(Path(location).resolve())
    asked = {"generation": spec.generation.model_dump(mode="json"), "location": location}
    return digest(canonical(asked))[:8]


def _name_of(file: str) -> str:
    """As clusters take names, from a file's."""
    plain = re.sub(r"[^a-z0-9]+", "-", Path(file).stem.lower()).strip("-")
    named = plain if plain[:1].isalpha() else f"run-{plain}"
    return named[:_LONGEST_NAME].strip("-")
