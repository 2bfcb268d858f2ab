"""Records of others' files, one by one with their places: what rows and texts are read from."""

import gzip
import io
import zlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, BinaryIO, NamedTuple, cast

import pyarrow as pa

from pipeline.storage.arrow_rows import arrow_rows, parquet_rows
from pipeline.storage.data_files import PACKED, DataFile, find_files, kind_of
from pipeline.storage.json_values import Unreadable, json_document, json_lines, text_lines
from schemas.errors import SpecError, StoreError

Options = Mapping[str, Any] | None
Wanted = Collection[str] | None


class Record(NamedTuple):
    """What stands in one row of a file."""

    place: str
    """`file:row`. Rows count from 1, in files of lines also those that are empty."""
    content: Mapping[str, Any]


class BadRecord(NamedTuple):
    """A row that holds no record."""

    place: str
    reason: str


def read_records(
    locations: Sequence[str], storage_options: Options = None, columns: Wanted = None
) -> Iterator[Record | BadRecord]:
    """All records of files, patterns and folders, in order; a broken file is a `SpecError`.

    Of Arrow and Parquet files, only `columns` are read (None: all). The `text` of a line of .txt
    is the line, without the white space around it; all other texts are taken as they are.
    """
    for place, content in read_values(locations, storage_options, columns):
        if isinstance(content, Mapping):
            yield Record(place, content)
        elif isinstance(content, Unreadable):
            yield BadRecord(place, content.reason)
        else:
            yield BadRecord(place, f"found {type_of(content)}, expected an object with columns")


def read_values(
    locations: Sequence[str], storage_options: Options = None, columns: Wanted = None
) -> Iterator[tuple[str, Any]]:
    """The same with any JSON value for a record, and with `Unreadable` where there is none."""
    files = [file for location in locations for file in find_files(location, storage_options)]
    for file in files:
        with _explained(file):
            for row, content in _values(file, columns):
                yield f"{file.base_name}:{row}", content


def type_of(value: Any) -> str:
    """What people call its type."""
    return "null" if value is None else type(value).__name__


def _values(file: DataFile, columns: Wanted) -> Iterator[tuple[int, Any]]:
    with file.store.open(file.name) as stored:
        packed = file.name.endswith(PACKED)
        stream = cast(BinaryIO, gzip.GzipFile(fileobj=stored) if packed else stored)
        match kind_of(file.name):
            case ".jsonl":
                yield from json_lines(stream)
            case ".json":
                yield from json_document(io.TextIOWrapper(stream, "utf-8-sig"))
            case ".parquet":
                yield from parquet_rows(stream, columns)
            case ".arrow":
                yield from arrow_rows(stream, columns)
            case _:
                yield from _lines(stream)


def _lines(stream: BinaryIO) -> Iterator[tuple[int, Any]]:
    for row, line in text_lines(stream):
        yield row, {"text": line} if isinstance(line, str) else line


_BROKEN = (
    *(ValueError, LookupError, OverflowError, RecursionError),
    *(pa.ArrowException, EOFError, zlib.error, gzip.BadGzipFile),
)
"""Among them what dates beyond Python's and unknown time zones raise in Arrow."""


@contextmanager
def _explained(file: DataFile) -> Iterator[None]:
    try:
        yield
    except _BROKEN as error:
        raise _not_as_named(file, error) from error
    except OSError as error:
        # Arrow reports pages that it cannot decode as such, without a number of the system's.
        if error.errno is None:
            raise _not_as_named(file, error) from error
        raise StoreError(f"{file.location}: cannot be read: {error}.") from error


def _not_as_named(file: DataFile, error: Exception) -> SpecError:
    return SpecError(f"{file.location} is not what its name says: {error}")
