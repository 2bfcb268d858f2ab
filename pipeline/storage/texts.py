"""Texts of others, read for comparison: benchmark files in the formats they come in."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.storage.open import open_store
from schemas.errors import ArboristError, SpecError

SUFFIXES = (".jsonl", ".json", ".parquet", ".txt")


def read_benchmark(location: str, storage_options: Mapping[str, Any] | None = None) -> bytes:
    """The bytes of a file, or an error that names the setting."""
    folder, _, name = location.rpartition("/")
    if not name.endswith(SUFFIXES):
        raise SpecError(
            f"execution.benchmarks: {location} is not of a known kind, expected a file that ends "
            f"in one of {', '.join(SUFFIXES)}."
        )
    try:
        return open_store(
            folder or ("/" if location.startswith("/") else "."), storage_options
        ).read(name)
    except (ArboristError, OSError) as error:
        raise SpecError(f"execution.benchmarks: {location} cannot be read: {error}") from error


def texts_of(location: str, payload: bytes) -> list[str]:
    """Every text of a file: lines of .txt, all strings of the records of the others."""
    try:
        return [text for record in _records(location, payload) for text in _strings(record)]
    except (ValueError, pa.ArrowException, RecursionError) as error:
        raise SpecError(
            f"execution.benchmarks: {location} is not what its name says: {error}"
        ) from error


def _records(location: str, payload: bytes) -> list[Any]:
    if location.endswith(".parquet"):
        table: pa.Table = pq.read_table(pa.BufferReader(payload))
        return list(table.to_pylist())
    lines = payload.decode("utf-8").splitlines()
    if location.endswith(".jsonl"):
        return [json.loads(line) for line in lines if line.strip()]
    if location.endswith(".json"):
        return [json.loads(payload)]
    return [line for line in lines if line.strip()]


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from _strings(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _strings(inner)
