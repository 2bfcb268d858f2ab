"""Rows of Arrow and Parquet files as dicts, with no more columns than are wanted."""

from collections.abc import Collection, Iterator
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.storage.ranged_file import BLOCK_BYTES

Row = dict[str, Any]
Wanted = Collection[str] | None
"""Names of columns; None: all."""

_ROWS_AT_ONCE = 1024
_FILE_MAGIC = b"ARROW1"


def parquet_rows(stream: BinaryIO, wanted: Wanted = None) -> Iterator[tuple[int, Row]]:
    """Rows with their numbers from 1, some of a row group at a time."""
    with pq.ParquetFile(stream, buffer_size=BLOCK_BYTES) as file:
        names = _of(file.schema_arrow, wanted)
        yield from _rows(_parts(file, names), names)


def _parts(file: Any, names: list[str]) -> Iterator[Any]:
    # One reader for all row groups would hold on to what it has read of each.
    for group in range(file.num_row_groups):
        yield from file.iter_batches(_ROWS_AT_ONCE, row_groups=[group], columns=names)


def arrow_rows(stream: BinaryIO, wanted: Wanted = None) -> Iterator[tuple[int, Row]]:
    """Rows with their numbers from 1 of an IPC file or stream, a record batch at a time."""
    head = stream.read(len(_FILE_MAGIC))
    stream.seek(0)
    with (pa.ipc.open_file if head == _FILE_MAGIC else pa.ipc.open_stream)(stream) as reader:
        yield from _rows(_batches(reader), _of(reader.schema, wanted))


def _of(schema: Any, wanted: Wanted) -> list[str]:
    names = [name for name in schema.names if wanted is None or name in wanted]
    if len(set(names)) < len(names):
        raise ValueError(f"some columns have the same name, {', '.join(names)}")
    return names


def _batches(reader: Any) -> Iterator[Any]:
    if isinstance(reader, pa.ipc.RecordBatchFileReader):
        return (reader.get_batch(index) for index in range(reader.num_record_batches))
    return iter(reader)


def _rows(batches: Iterator[Any], names: list[str]) -> Iterator[tuple[int, Row]]:
    number = 0
    for batch in batches:
        for start in range(0, batch.num_rows, _ROWS_AT_ONCE):
            part = batch.slice(start, _ROWS_AT_ONCE)
            # Offsets of a damaged file may lead out of its bytes.
            part.select(names).validate(full=True)
            columns = [part.column(name).to_pylist() for name in names]
            for values in zip(*columns, strict=True) if columns else [()] * part.num_rows:
                number += 1
                yield number, dict(zip(names, values, strict=True))
