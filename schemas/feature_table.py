"""The feature table: signatures and vectors of a wave's candidates, beside its rows.

It is what later passes compare, so that no threshold takes reading the texts again. The file's
metadata say what made the numbers.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from schemas.errors import CorruptData
from schemas.measures import Measures, Signatures, Vectors

FEATURE_SCHEMA = pa.schema(
    [
        pa.field("node_id", pa.string(), nullable=False),
        pa.field("signature", pa.list_(pa.uint32()), nullable=False),
        pa.field("vector", pa.list_(pa.int8()), nullable=False),
    ],
    metadata={"arborist.table_version": "1"},
)


def to_feature_table(node_ids: Sequence[str], measures: Measures) -> pa.Table:
    """A row a measured candidate; empty lists where a run asks for no such numbers."""
    columns = [
        pa.array(node_ids, pa.string()),
        _lists(measures.signatures, pa.uint32()),
        _lists(measures.vectors, pa.int8()),
    ]
    return pa.table(columns, schema=FEATURE_SCHEMA)


def check_feature_table(table: pa.Table, *, name: str) -> None:
    """Refuse a table, or a part of it, whose rows do not all hold as many numbers."""
    for column in ("signature", "vector"):
        if column not in table.column_names:
            continue
        lists = table.column(column)
        widths = sorted(pc.unique(pc.list_value_length(lists).fill_null(-1)).to_pylist())
        if len(widths) > 1 or widths == [-1] or pc.list_flatten(lists).null_count:
            raise CorruptData(
                f"{name}: column {column} must hold as many numbers in each of its "
                f"{table.num_rows} rows; found lists of {widths[0]} to {widths[-1]} (-1 for none), "
                "or numbers missing in them. The file was changed."
            )


def from_feature_table(table: pa.Table) -> tuple[list[str], Signatures, Vectors]:
    """Node ids, signatures and vectors of a table that was checked, row by row."""
    rows = table.num_rows
    signatures = _matrix(table.column("signature"), rows, np.uint32)
    vectors = _matrix(table.column("vector"), rows, np.int8)
    return table.column("node_id").to_pylist(), signatures, vectors


def _lists(matrix: npt.NDArray[np.generic], kind: pa.DataType) -> pa.ListArray:
    rows, width = matrix.shape
    offsets = np.arange(rows + 1, dtype=np.int32) * width
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(matrix.ravel(), kind))


def _matrix(column: pa.ChunkedArray, rows: int, kind: type) -> npt.NDArray[Any]:
    flat = column.combine_chunks().flatten().to_numpy(zero_copy_only=False)
    width = len(flat) // rows if rows else 0
    matrix: npt.NDArray[Any] = flat.reshape(rows, width).astype(kind, copy=False)
    return matrix
