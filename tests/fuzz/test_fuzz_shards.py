"""Shards and drop lists of other bytes, other schemas and other rows, whose checksums are right."""

import functools

import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import given
from hypothesis import strategies as st

from pipeline.storage.encoding import encode
from tests.fuzz.mutations import HOSTILE, damaged
from tests.fuzz.outcomes import fuzzed
from tests.fuzz.sealed_runs import read_by, readers, reshard, sealed_run

TYPES = (
    *(pa.string(), pa.large_string(), pa.binary(), pa.int8(), pa.int32(), pa.int64(), pa.uint64()),
    *(pa.float32(), pa.float64(), pa.bool_(), pa.null(), pa.date32(), pa.list_(pa.int64())),
    *(
        pa.list_(pa.string()),
        pa.dictionary(pa.int32(), pa.string()),
        pa.struct([("a", pa.int32())]),
    ),
)


def shard_names():
    return st.sampled_from([name for name in sealed_run() if name.endswith(".parquet")])


@functools.cache
def table_of(name: str) -> pa.Table:
    return pq.read_table(pa.BufferReader(sealed_run()[name]))


def written(table: pa.Table) -> bytes:
    return encode(table, {})


@fuzzed
@given(data=st.data(), reader=readers, rows=st.sampled_from((None, 0, 1, 10**6, 2**31 - 1)))
def test_shard_damaged_under_its_checksum_is_read_or_refused(data, reader, rows):
    name = data.draw(shard_names())
    payload = data.draw(damaged(sealed_run()[name]))
    said = table_of(name).num_rows if rows is None else rows
    read_by("shard: damaged bytes", reader, reshard(sealed_run(), name, payload, said))


@fuzzed
@given(data=st.data(), reader=readers)
def test_shard_of_another_schema_is_read_or_refused(data, reader):
    name = data.draw(shard_names())
    table = table_of(name)
    for _ in range(data.draw(st.integers(1, 2))):
        index = data.draw(st.integers(0, table.num_columns - 1))
        column, field = table.column(index), table.schema.field(index)
        match data.draw(
            st.sampled_from(("type", "nulls", "drop", "double", "strange", "metadata"))
        ):
            case "type":
                kind = data.draw(st.sampled_from(TYPES))
                table = table.set_column(index, field.name, pa.nulls(table.num_rows, kind))
            case "nulls":
                table = table.set_column(index, field.name, pa.nulls(table.num_rows, field.type))
            case "drop":
                table = table.remove_column(index)
            case "double":
                table = table.append_column(field, column)
            case "strange":
                table = table.append_column("ünknown", column)
            case _:
                version = data.draw(st.sampled_from((b"", b"x", b"99", b"9" * 5000, b"-1")))
                table = table.replace_schema_metadata({b"arborist.table_version": version})
        if not table.num_columns:
            break
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    payload = sink.getvalue().to_pybytes()
    read_by("shard: other schema", reader, reshard(sealed_run(), name, payload, table.num_rows))


@fuzzed
@given(data=st.data(), reader=readers)
def test_shard_of_other_rows_is_read_or_refused(data, reader):
    """Parents that are not there, ids twice, paths and levels that do not fit, and the like."""
    name = data.draw(shard_names())
    table = table_of(name)
    rows = table.to_pylist()
    node_id = rows[0].get("node_id", "0")
    for _ in range(data.draw(st.integers(1, 4))):
        if not rows:
            break
        row = data.draw(st.integers(0, len(rows) - 1))
        match data.draw(
            st.sampled_from(("value", "value", "value", "copy", "drop", "swap", "list"))
        ):
            case "value":
                column = data.draw(st.sampled_from(table.column_names))
                rows[row][column] = data.draw(st.sampled_from(HOSTILE))
            case "copy":
                rows.insert(row, dict(rows[row]))
            case "drop":
                del rows[row]
            case "swap":
                column = data.draw(st.sampled_from(table.column_names))
                other = data.draw(st.integers(0, len(rows) - 1))
                rows[row][column] = rows[other][column]
            case _:
                column = data.draw(st.sampled_from(table.column_names))
                items = st.lists(st.sampled_from((None, -1, 0, 1, 2**31 - 1)), max_size=4)
                rows[row][column] = data.draw(items)
    if (changed := as_table(rows, table.schema)) is not None:
        payload = written(changed)
        files = reshard(sealed_run(), name, payload, changed.num_rows)
        read_by("shard: other rows", reader, files, node_id)


def as_table(rows, schema):
    """The rows; values that the schema cannot hold are left as null."""
    loose = pa.schema([field.with_nullable(True) for field in schema], schema.metadata)
    columns = []
    for field in loose:
        values = [row[field.name] for row in rows]
        columns.append(pa.array([fitting(value, field.type) for value in values], field.type))
    return pa.table(columns, schema=loose) if rows else None


def fitting(value, kind):
    try:
        return pa.array([value], kind)[0].as_py()
    except (pa.ArrowException, OverflowError, TypeError, ValueError, AttributeError):
        return None
