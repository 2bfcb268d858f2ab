"""A table of a run as Parquet bytes, and back with every check.

Equal rows give equal bytes (of one pyarrow version): no timestamps, and options that depend on
nothing but the schema.
"""

from collections.abc import Iterator, Mapping

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from schemas.errors import CorruptData, NewerSchema

ROWS_PER_GROUP = 16_384

_VERSION_KEY = b"arborist.table_version"
_DIGITS = 9

_DICTIONARY = [
    "run_id",
    "tree_id",
    "parent_id",
    "level",
    "role",
    "kind",
    "origin",
    "model_index",
    "stop_id",
    "reasoning_tokens",
    "finish_reason",
    "prompt_hash",
    "drop_reason",
    "keeper_id",
    "scores.list.element.name",
]
"""Few values, or the same one for many rows in a run."""

_ENCODING = {
    "node_id": "DELTA_LENGTH_BYTE_ARRAY",
    "text": "DELTA_LENGTH_BYTE_ARRAY",
    "logprob_sum": "BYTE_STREAM_SPLIT",
    "token_logprobs.list.element": "BYTE_STREAM_SPLIT",
    "signature.list.element": "BYTE_STREAM_SPLIT",
}
"""All others are plain: zstd does better on plain token ids than on delta-packed ones (40 %)."""


def encode(table: pa.Table, metadata: Mapping[str, str]) -> bytes:
    """Parquet bytes of a table, with key-value metadata for whoever opens the file alone."""
    sink = pa.BufferOutputStream()
    with pq.ParquetWriter(
        sink,
        table.schema,
        compression="zstd",
        compression_level=3,
        use_dictionary=[name for name in _DICTIONARY if _top(name) in table.column_names],
        column_encoding={n: e for n, e in _ENCODING.items() if _top(n) in table.column_names},
        write_page_checksum=True,
    ) as writer:
        writer.write_table(table, row_group_size=ROWS_PER_GROUP)
        writer.add_key_value_metadata(dict(metadata))
    payload: bytes = sink.getvalue().to_pybytes()
    return payload


def _top(leaf: str) -> str:
    """The column that a Parquet leaf belongs to."""
    return leaf.partition(".")[0]


def decode(payload: bytes, *, name: str, rows: int, schema: pa.Schema) -> pa.Table:
    """The rows of a shard in today's schema, or a part of it; columns that it lacks are null."""
    try:
        file = pq.ParquetFile(pa.BufferReader(payload), page_checksum_verification=True)
        present = file.schema_arrow
        _check_version(present, schema, name)
        _check_size(file, rows, name)
        wanted = [column for column in schema.names if column in present.names]
        table = file.read(wanted, use_threads=False)
        table.validate(full=True)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise CorruptData(
            f"{name}: not a readable Parquet file, it was damaged: {error}"
        ) from error
    columns = [_column(table, field, name) for field in schema]
    return pa.table(columns, schema=schema)


def _check_version(present: pa.Schema, ours: pa.Schema, name: str) -> None:
    found = (present.metadata or {}).get(_VERSION_KEY, b"")
    if not found.isdigit() or len(found) > _DIGITS:
        raise CorruptData(f"{name}: no table of a run, it carries no {_VERSION_KEY.decode()}.")
    known = int(ours.metadata[_VERSION_KEY])
    if int(found) > known:
        raise NewerSchema(
            f"{name}: written with table version {int(found)}, this version reads up to "
            f"{known}; use the newer version of arborist that wrote it."
        )


def _check_size(file: pq.ParquetFile, rows: int, name: str) -> None:
    """Before anything is unpacked: little may stand for much."""
    if file.metadata.num_rows != rows:
        raise CorruptData(f"{name}: holds {file.metadata.num_rows} rows, its manifest says {rows}.")
    names = file.schema_arrow.names
    if len(set(names)) < len(names):
        raise CorruptData(f"{name}: some columns have the same name; it was changed.")


def _column(table: pa.Table, field: pa.Field, name: str) -> pa.ChunkedArray | pa.Array:
    if field.name in table.column_names:
        found = table.schema.field(field.name)
        if found.type == field.type:
            return _without_gaps(table.column(field.name), field, name)
        raise CorruptData(
            f"{name}: column {field.name} is {found.type}, expected {field.type}; "
            "it is not a shard of this program."
        )
    if field.nullable:
        return pa.nulls(table.num_rows, field.type)
    raise CorruptData(f"{name}: column {field.name} is missing and may not be.")


def _without_gaps(column: pa.ChunkedArray, field: pa.Field, name: str) -> pa.ChunkedArray:
    """The column, if nothing is null in it that must not be; parts of values never are."""
    missing = 0 if field.nullable else column.null_count
    if missing or any(part.null_count for part in _parts(column)):
        raise CorruptData(
            f"{name}: column {field.name} lacks values in {missing or 'some'} of its rows, which "
            "all have them; the file was changed."
        )
    return column


def _parts(column: pa.ChunkedArray) -> Iterator[pa.ChunkedArray]:
    """What the values of a column are made of, at all depths."""
    if pa.types.is_list(column.type):
        inner = [pc.list_flatten(column)]
    elif pa.types.is_struct(column.type):
        fields = range(column.type.num_fields)
        inner = [pc.struct_field(column, [index]) for index in fields]
    else:
        return
    for part in inner:
        yield part
        yield from _parts(part)
