"""Some rows of an export, drawn while it is written: by their ids, so the same ones every time."""

import heapq
from typing import Any

import pyarrow as pa

from schemas.export import Kind

SAMPLED = 200
SHOWN = 3

_ID = {"messages": "leaf_id", "text": "leaf_id", "preference": "parent_id", "nodes": "node_id"}
"""By what a row is, a column of hashes."""

Row = dict[str, Any]


class Sample:
    """The rows whose ids are the smallest; ids are hashes, so that is any of them alike."""

    def __init__(self, kind: Kind, size: int = SAMPLED) -> None:
        self._column, self._size = _ID[kind], size
        self._rows: list[tuple[str, int, Row]] = []
        self._seen = 0

    def add(self, table: pa.Table) -> None:
        """Look at more rows."""
        ids = table.column(self._column).to_pylist()
        nearest = heapq.nsmallest(self._size, zip(ids, range(len(ids)), strict=True))
        worst = self._rows[-1][0] if len(self._rows) == self._size else None
        wanted = [(key, row) for key, row in nearest if worst is None or key < worst]
        if wanted:
            read = table.take([row for _, row in wanted]).to_pylist()
            found = [(k, self._seen + n, r) for (k, n), r in zip(wanted, read, strict=True)]
            self._rows = sorted([*self._rows, *found], key=lambda one: one[:2])[: self._size]
        self._seen += len(ids)

    @property
    def rows(self) -> list[Row]:
        """Those drawn, at most so many."""
        return [row for _, _, row in self._rows]
