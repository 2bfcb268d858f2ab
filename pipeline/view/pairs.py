"""Duplicates as pairs: a dropped turn beside the one that says it already."""

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.view.query import Lines, Query
from pipeline.view.rows import LONG, Row, paged, read_rows, shortened
from pipeline.view.run import ViewedRun
from pipeline.view.shared import shared_parts

ALIKE = ("duplicate", "near_duplicate", "similar")


def pairs(viewed: ViewedRun, query: Query) -> Lines:
    """Pairs of a wave after a wave; those of one reason only, if that is said."""
    index = viewed.index()
    reasons = pa.array([query.text("reason", "")] if query.text("reason", "") else ALIKE)

    def chosen(table: pa.Table) -> pa.Table:
        alike = pc.is_in(table.column("drop_reason"), value_set=reasons)
        return table.filter(pc.and_(alike, pc.is_valid(table.column("keeper_id"))))

    def rows_of(wave: str) -> list[Row]:
        fallen = read_rows(viewed, index, wave, ("dropped",), chosen)
        if not fallen:
            return []
        wanted = pa.array(sorted({row["keeper_id"] for row in fallen}))
        # A keeper is of the same wave.
        keepers = read_rows(viewed, index, wave, ("nodes",), lambda t: _named(t, wanted))
        by_id = {row["node_id"]: row for row in keepers}
        return [_pair(row, by_id.get(row["keeper_id"])) for row in fallen]

    return paged(index, query, rows_of)


def _named(table: pa.Table, ids: pa.Array) -> pa.Table:
    return table.filter(pc.is_in(table.column("node_id"), value_set=ids))


def _pair(fallen: Row, keeper: Row | None) -> Row:
    fallen = shortened(fallen, LONG)
    if keeper is None:
        return {"fallen": fallen, "keeper": None, "parts": None}
    keeper = shortened(keeper, LONG)
    return {
        "fallen": fallen,
        "keeper": keeper,
        "parts": shared_parts(fallen["text"], keeper["text"]),
    }
