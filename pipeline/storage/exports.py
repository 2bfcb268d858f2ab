"""Exports: a snapshot as plain Parquet files that need no knowledge of runs to be read."""

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.storage.store import Store
from schemas.errors import AlreadyExists, LocationError
from schemas.export import ExportedFile
from schemas.fingerprint import digest

_MESSAGES = pa.list_(pa.struct([("role", pa.string()), ("content", pa.large_string())]))
_TEXT = pa.large_string()
_LEAF = [
    pa.field("tree_id", pa.int32()),
    pa.field("leaf_id", pa.string()),
    pa.field("source", pa.string()),
    pa.field("origin", pa.string()),
]

MESSAGES_SCHEMA = pa.schema(
    [*_LEAF, pa.field("messages", _MESSAGES), pa.field("learned", pa.list_(pa.bool_()))]
)
TEXT_SCHEMA = pa.schema(
    [*_LEAF, pa.field("text", _TEXT), pa.field("token_ids", pa.list_(pa.int32()))]
)

_COMPLETION = pa.struct(
    [
        ("node_id", pa.string()),
        ("content", _TEXT),
        ("score", pa.float32()),
        ("kept", pa.bool_()),
        ("drop_reason", pa.string()),
        ("logprob_sum", pa.float32()),
        ("num_tokens", pa.int32()),
        ("origin", pa.string()),
    ]
)


def preference_schema(*, chats: bool) -> pa.Schema:
    """Prompt, chosen and rejected are messages, or texts where there is no chat."""
    said = _MESSAGES if chats else _TEXT
    return pa.schema(
        [
            pa.field("tree_id", pa.int32()),
            pa.field("parent_id", pa.string()),
            pa.field("source", pa.string()),
            pa.field("prompt", said),
            pa.field("completions", pa.list_(_COMPLETION)),
            pa.field("scores", pa.list_(pa.float32())),
            pa.field("chosen", said),
            pa.field("rejected", said),
            pa.field("margin", pa.float32()),
            pa.field("chosen_by", pa.string()),
        ]
    )


class ExportWriter:
    """Numbered files of one table below a location."""

    def __init__(self, store: Store, stem: str) -> None:
        self._store, self._stem = store, stem
        self.files: list[ExportedFile] = []

    @property
    def rows(self) -> int:
        """In all files."""
        return sum(file.rows for file in self.files)

    def write(self, table: pa.Table) -> None:
        """One more file; nothing for an empty table."""
        if not table.num_rows:
            return
        name = f"{self._stem}-{len(self.files):05d}.parquet"
        sink = pa.BufferOutputStream()
        pq.write_table(table, sink, compression="zstd")
        payload = sink.getvalue().to_pybytes()
        try:
            self._store.create(name, payload)
        except AlreadyExists as error:
            raise LocationError(
                f"{self._store.location}/{name}: is there already; export to an empty location."
            ) from error
        self.files.append(
            ExportedFile(name=name, rows=table.num_rows, bytes=len(payload), sha256=digest(payload))
        )
