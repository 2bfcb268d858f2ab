"""The node that a left-out one repeats, wherever in the run it lies."""

from contextlib import closing
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.storage.shards import read_shard
from pipeline.view.index import Index
from pipeline.view.query import Query
from pipeline.view.rows import LONG, ahead, read_rows, shortened
from pipeline.view.run import ViewedRun, only
from pipeline.view.shared import shared_parts
from schemas.errors import UserError


def keeper(viewed: ViewedRun, query: Query) -> dict[str, Any]:
    """Both, with the parts that they share; a refinement's keepers may lie in any wave."""
    index, node_id, keeper_id = viewed.index(), query.text("node"), query.text("keeper")
    rows = []
    for wave, named in ((query.text("wave"), node_id), (wave_of(viewed, keeper_id), keeper_id)):
        rows += read_rows(viewed, index, wave, chosen=_named(named))
    if len(rows) != 2:
        raise UserError(f"node {node_id[:40]}, keeper {keeper_id[:40]}: expected a turn each.")
    ours, theirs = (shortened(row, LONG) for row in rows)
    return {"keeper": theirs, "parts": shared_parts(ours["text"], theirs["text"])}


def _named(node_id: str) -> Any:
    return lambda table: only(table, "node_id", node_id)


def wave_of(viewed: ViewedRun, node_id: str) -> str:
    """The wave of a node, by the ids of all waves, some at once."""
    index = viewed.index()
    with closing(ahead(lambda wave: _holds(viewed, index, wave, node_id), index.waves)) as looks:
        for wave, holds in zip(index.waves, looks, strict=False):
            if holds:
                return wave
    raise UserError(
        f"node {node_id[:40]}: is not among the {len(index.waves):,} committed waves of this run."
    )


def _holds(viewed: ViewedRun, index: Index, wave: str, node_id: str) -> bool:
    wanted = pa.scalar(node_id)
    columns = (
        read_shard(viewed.store, entry, ["node_id"]).column("node_id")
        for entry in index.entries(wave, "nodes", "dropped", "asides")
    )
    return any(pc.any(pc.equal(ids, wanted)).as_py() for ids in columns)
