"""Exports: a snapshot as plain Parquet files that need no knowledge of runs to be read."""

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.storage.store import Store
from schemas.errors import AlreadyExists, LocationError

MESSAGES_SCHEMA = pa.schema(
    [
        pa.field("tree_id", pa.int32()),
        pa.field("leaf_id", pa.string()),
        pa.field(
            "messages",
            pa.list_(pa.struct([("role", pa.string()), ("content", pa.large_string())])),
        ),
    ]
)


class ExportWriter:
    """Numbered files of one table below a location."""

    def __init__(self, store: Store, stem: str) -> None:
        self._store, self._stem = store, stem
        self.files = 0
        self.rows = 0

    def write(self, table: pa.Table) -> None:
        """One more file; nothing for an empty table."""
        if not table.num_rows:
            return
        name = f"{self._stem}-{self.files:05d}.parquet"
        sink = pa.BufferOutputStream()
        pq.write_table(table, sink, compression="zstd")
        try:
            self._store.create(name, sink.getvalue().to_pybytes())
        except AlreadyExists as error:
            raise LocationError(
                f"{self._store.location}/{name}: is there already; export to an empty location."
            ) from error
        self.files += 1
        self.rows += table.num_rows
