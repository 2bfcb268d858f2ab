"""Read a YAML file into a RunSpec, or say what is wrong with which key."""

import difflib
import reprlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError

from jobs.engine_cpus import with_cpus
from jobs.recipes import load_recipe, with_defaults
from jobs.spec_yaml import read_mapping
from schemas.errors import SpecError
from schemas.execution_spec import RunSpec

Model = TypeVar("Model", bound=BaseModel)

_OF_KEY = "[key]"
_SECRETIVE = {"storage_options", "args"}
"""Sections whose values may be secrets, and are never shown."""
_LONGEST = 120


def load_spec(location: str) -> RunSpec:
    """The spec in a file, as it is run on this machine; `SpecError` names the key, what was found
    and what was expected."""
    content = read_mapping(location, "the two sections `generation:` and `execution:`")
    return with_cpus(parse_spec(content, name=location, beside=Path.cwd()))


def parse_spec(content: dict[str, Any], *, name: str, beside: Path | None = None) -> RunSpec:
    """The spec in a mapping, with its recipe's defaults, and checked by its recipe, whose module
    may lie in a folder."""
    generation = content.get("generation")
    try:
        if isinstance(generation, dict):
            content = content | {"generation": with_defaults(generation, beside)}
        spec = RunSpec.model_validate(content)
        load_recipe(spec.generation.recipe, beside).check(spec.generation)
        return spec
    except SpecError as error:
        raise SpecError(f"{name}: {error}") from error
    except ValidationError as error:
        raise SpecError(f"{name}: {_told(error, RunSpec)}") from error


def validated(spec: type[Model], content: Any, where: str) -> Model:
    """The content as a spec; `SpecError` says where it is wrong."""
    try:
        return spec.model_validate(content)
    except ValidationError as error:
        raise SpecError(f"{where}: {_told(error, spec)}") from error


def _told(error: ValidationError, spec: type[BaseModel]) -> str:
    """What is wrong with the keys of a spec, as sentences."""
    errors = _causes([dict(e) for e in error.errors()])
    found = "; ".join(_sentence(e, spec) for e in errors[:5])
    more = f" (and {len(errors) - 5} more)" if len(errors) > 5 else ""
    return f"{found}{more}."


def _causes(errors: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Without lists that are only too short because what is wrong with an entry left it out."""
    places = [error["loc"] for error in errors]
    return [
        error
        for error, place in zip(errors, places, strict=True)
        if error["type"] != "too_short"
        or not any(len(p) > len(place) and p[: len(place)] == place for p in places)
    ]


def _sentence(error: dict[str, Any], spec: type[BaseModel]) -> str:
    # What is wrong with a key, and not with its value, is told below the key.
    where = ".".join(str(part) for part in error["loc"] if part != _OF_KEY)
    if error["type"] == "extra_forbidden":
        return f"{where}: unknown key, {_expected_keys(error['loc'], spec)}"
    if error["type"] == "value_error":
        words = str(error["ctx"]["error"])
        # It is about a key below, which it begins with, or about this one.
        joint = ": " if words.startswith(("expected ", "found ")) else "."
        return f"{where}{joint}{words}" if where else words
    if error["type"] == "missing":
        return f"{where}: missing, expected a value"
    if error["type"] == "union_tag_invalid":
        tags = [tag.strip("'") for tag in error["ctx"]["expected_tags"].split(", ")]
        return f"{where}: found {error['ctx']['tag']}, {_one_of(tags, error['ctx']['tag'])}"
    message = error["msg"].replace("Input should be", "expected")
    return f"{where}: found {_found(error)}, {message}"


def _found(error: dict[str, Any]) -> str:
    """The value, unless it may hold secrets; one that goes on for pages is cut."""
    value = error["input"]
    if _SECRETIVE.intersection(error["loc"]) or isinstance(value, BaseModel):
        return type(value).__name__
    if isinstance(value, int) and abs(value) >= 10**_LONGEST:
        return f"a number of about {value.bit_length() * 3 // 10:,} digits"
    shown = reprlib.repr(value)
    return shown if len(shown) <= _LONGEST else f"{shown[:_LONGEST]}..."


def _expected_keys(loc: tuple[str | int, ...], spec: type[BaseModel]) -> str:
    model = _model_at(loc[:-1], spec)
    return "expected none" if model is None else _one_of(list(model.model_fields), str(loc[-1]))


def _one_of(names: list[str], found: str) -> str:
    close = difflib.get_close_matches(found, names, n=1)
    hint = f" (did you mean {close[0]}?)" if close else ""
    return f"expected one of: {', '.join(names)}{hint}"


def _model_at(loc: tuple[str | int, ...], spec: type[BaseModel]) -> type[BaseModel] | None:
    found: Any = spec
    for part in loc:
        models = list(_models(found))
        tagged = [m for m in models if getattr(m.model_fields.get("filter"), "default", "") == part]
        field = models[0].model_fields.get(str(part)) if len(models) == 1 else None
        if tagged:
            found = tagged[0]
        elif field is not None:
            found = field.annotation
    inner = list(_models(found))
    return inner[0] if len(inner) == 1 else None


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    """The models inside a type: itself, or those of its items or alternatives."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    else:
        for inner in get_args(annotation):
            yield from _models(inner)
