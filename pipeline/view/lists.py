"""Lists over the whole run: what a search finds, and what was dropped, to be read through."""

import re

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.view.query import Lines, Query
from pipeline.view.rows import LONG, Row, paged, read_rows, shortened
from pipeline.view.run import ViewedRun
from schemas.errors import UserError
from schemas.manifest import Table
from schemas.wave_id import WaveId

_ID = re.compile(r"[0-9a-f]{6,32}")
_AROUND = 120
_TABLES: dict[str, tuple[Table, ...]] = {
    "all": ("nodes", "dropped"),
    "kept": ("nodes",),
    "dropped": ("dropped",),
}


def search(viewed: ViewedRun, query: Query) -> Lines:
    """Turns whose text has some words in it, in any case; or the node whose id begins so."""
    wanted, index = query.text("q").strip(), viewed.index()
    among, role = query.text("among", "all"), query.text("role", "")
    if not wanted or among not in _TABLES:
        raise UserError("q, among: expected words to look for, in all, kept or dropped turns.")

    def chosen(table: pa.Table) -> pa.Table:
        hits = pc.match_substring(table.column("text"), wanted, ignore_case=True)
        if _ID.fullmatch(wanted):
            hits = pc.or_(hits, pc.starts_with(table.column("node_id"), wanted))
        if role:
            hits = pc.and_(hits, pc.equal(table.column("role"), role))
        return table.filter(hits)

    def rows_of(wave: str) -> list[Row]:
        rows = read_rows(viewed, index, wave, _TABLES[among], chosen)
        return [_around(row, wanted) for row in rows]

    return paged(index, query, rows_of)


def _around(row: Row, wanted: str) -> Row:
    """The text about the place that was found."""
    text = row["text"]
    place = max(0, text.lower().find(wanted.lower()))
    start = max(0, place - _AROUND)
    end = place + len(wanted) + _AROUND
    cut = f"{'…' if start else ''}{text[start:end]}{'…' if end < len(text) else ''}"
    return row | {"text": cut}


def dropped(viewed: ViewedRun, query: Query) -> Lines:
    """Dropped turns of one reason, or of all."""
    index, reason = viewed.index(), query.text("reason", "")
    level = query.number("level", 0)

    def chosen(table: pa.Table) -> pa.Table:
        return table.filter(pc.equal(table.column("drop_reason"), reason)) if reason else table

    def rows_of(wave: str) -> list[Row]:
        if level and WaveId.parse(wave).level != level:
            return []
        return [shortened(r, LONG) for r in read_rows(viewed, index, wave, ("dropped",), chosen)]

    return paged(index, query, rows_of)


def left_out(viewed: ViewedRun, query: Query) -> Lines:
    """Kept turns that the latest snapshot leaves out for a reason."""
    index, reason = viewed.index(), query.text("reason")
    named = [node_id for node_id, why in viewed.left_out().items() if why == reason]
    ids = pa.array(named, pa.string())

    def chosen(table: pa.Table) -> pa.Table:
        return table.filter(pc.is_in(table.column("node_id"), value_set=ids))

    def rows_of(wave: str) -> list[Row]:
        return [shortened(r, LONG) for r in read_rows(viewed, index, wave, ("nodes",), chosen)]

    return paged(index, query, rows_of)
