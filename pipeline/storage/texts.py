"""Texts of others, read for comparison: all that stands in the files of a benchmark."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pipeline.storage.json_values import Unreadable
from pipeline.storage.records import read_values
from schemas.errors import SpecError


def read_benchmarks(
    locations: Sequence[str], storage_options: Mapping[str, Any] | None = None
) -> list[str]:
    """Every text: lines of .txt, all strings of the values of the others; one that cannot be read
    is an error."""
    try:
        values = read_values(locations, storage_options)
        return [text for place, value in values for text in _texts(place, value)]
    except SpecError as error:
        raise SpecError(f"execution.benchmarks: {error}") from error


def _texts(place: str, value: Any) -> Iterator[str]:
    if isinstance(value, Unreadable):
        raise SpecError(f"{place} is not what its name says: {value.reason}.")
    return _strings(value)


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from _strings(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _strings(inner)
