"""What fell, as the rows of a drop list."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.curate.whole_run.sweep import Drop
from pipeline.refine.census import Census, Numbers
from schemas.drop_list import DROP_SCHEMA


def drop_list(
    census: Census, drops: Sequence[Drop], *, first_own: int, number: int
) -> tuple[Numbers, pa.Table]:
    """The rows that fell, and the list in the same order. `number` is that of the refinement.

    Rows before `first_own` belong to earlier runs, which drops name as keepers only.
    """
    rows, reasons, keepers, similarities = _columns(drops)
    has_keeper = pa.array(keepers >= 0)
    ids = census.ids(np.maximum(keepers, 0))
    earlier = (keepers >= 0) & (keepers < first_own)
    columns = [
        census.ids(rows),
        pa.array(census.tree_ids(rows), pa.int32()),
        pa.array(map(census.path, rows.tolist()), pa.list_(pa.int32())),
        pa.array(reasons, pa.string()),
        pc.if_else(has_keeper, ids, None),
        pa.array(_runs(census, keepers, earlier), pa.string()),
        pa.array(similarities, pa.float32()),
        pa.array(np.full(len(rows), number), pa.int16()),
    ]
    return rows, pa.table(columns, schema=DROP_SCHEMA)


def merge(parts: Sequence[tuple[Numbers, pa.Table]]) -> pa.Table:
    """Lists of different rows as one in row order."""
    order = np.argsort(np.concatenate([rows for rows, _ in parts]))
    return pa.concat_tables([table for _, table in parts]).take(pa.array(order))


def _columns(
    drops: Sequence[Drop],
) -> tuple[Numbers, list[str], Numbers, list[float | None]]:
    """Rows, reasons, keepers (-1: none) and similarities of all that fell."""
    rows: list[int] = []
    reasons: list[str] = []
    keepers: list[int] = []
    similarities: list[float | None] = []
    for drop in drops:
        below = len(drop.below)
        rows += (drop.row, *drop.below)
        reasons += (drop.reason, *["subtree"] * below)
        keepers += (-1 if drop.keeper is None else drop.keeper, *[drop.row] * below)
        similarities += (drop.similarity, *[None] * below)
    return np.array(rows, np.int64), reasons, np.array(keepers, np.int64), similarities


def _runs(census: Census, keepers: Numbers, earlier: np.ndarray) -> list[str | None]:
    """Of keepers in earlier runs, which one."""
    numbers = census.cohort_of(np.maximum(keepers, 0))
    return [
        census.cohorts[number].files.source.run_id if other else None
        for number, other in zip(numbers.tolist(), earlier.tolist(), strict=True)
    ]
