"""A table of a run as Parquet bytes, and back with every check.

Equal rows give equal bytes (of one pyarrow version): no timestamps, and options that depend on
nothing but the schema.
"""

from collections.abc import Mapping

import pyarrow as pa
import pyarrow.parquet as pq

from schemas.errors import CorruptData, NewerSchema

ROWS_PER_GROUP = 16_384

_VERSION_KEY = b"arborist.table_version"

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
        wanted = [column for column in schema.names if column in present.names]
        table = file.read(wanted, use_threads=False)
    except (pa.ArrowException, OSError) as error:
        raise CorruptData(
            f"{name}: not a readable Parquet file, it was damaged: {error}"
        ) from error
    if table.num_rows != rows:
        raise CorruptData(f"{name}: holds {table.num_rows} rows, its manifest says {rows}.")
    columns = [_column(table, field, name) for field in schema]
    return pa.table(columns, schema=schema)


def _check_version(present: pa.Schema, ours: pa.Schema, name: str) -> None:
    found = (present.metadata or {}).get(_VERSION_KEY, b"")
    if not found.isdigit():
        raise CorruptData(f"{name}: no table of a run, it carries no {_VERSION_KEY.decode()}.")
    known = int(ours.metadata[_VERSION_KEY])
    if int(found) > known:
        raise NewerSchema(
            f"{name}: written with table version {int(found)}, this version reads up to "
            f"{known}; use the newer version of arborist that wrote it."
        )


def _column(table: pa.Table, field: pa.Field, name: str) -> pa.ChunkedArray | pa.Array:
    if field.name in table.column_names:
        found = table.schema.field(field.name)
        if found.type == field.type:
            return table.column(field.name)
        raise CorruptData(
            f"{name}: column {field.name} is {found.type}, expected {field.type}; "
            "it is not a shard of this program."
        )
    if field.nullable:
        return pa.nulls(table.num_rows, field.type)
    raise CorruptData(f"{name}: column {field.name} is missing and may not be.")
