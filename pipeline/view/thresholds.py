"""What would fall at other thresholds, by the scores that are stored."""

import math
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.curate.evidence import evidence
from pipeline.storage.shards import read_shard
from pipeline.view.index import Index
from pipeline.view.query import Lines, Query
from pipeline.view.rows import LISTED, Row, paged, shortened
from pipeline.view.run import ViewedRun
from schemas.errors import UserError
from schemas.node_table import scores_from_table

MOST_SCORED = 200_000
"""Rows that distributions are told from; of a larger run, waves evenly from all of it."""
_STEPS = 400
_RELATIONS = {"<": np.less, ">": np.greater}

Values = npt.NDArray[np.float32]
Place = tuple[str, str, bool]
"""A score, who speaks, and whether the turns were kept."""


def scores(viewed: ViewedRun, query: Query) -> dict[str, Any]:
    """How each score is distributed among kept and dropped turns of a role, and its thresholds."""
    index = viewed.index()
    waves = _evenly(index)
    found: dict[Place, list[Values]] = defaultdict(list)
    for wave in waves:
        _add_wave(viewed, index, wave, found)
    names = sorted({(name, role) for name, role, _ in found})
    told = [_told(viewed, name, role, found) for name, role in names]
    return {
        "scores": [one for one in told if one["limits"] or one["low"] < one["high"]],
        "waves": len(waves),
        "of": len(index.waves),
    }


def _evenly(index: Index) -> list[str]:
    rows = sum(index.rows(wave, table) for wave in index.waves for table in ("nodes", "dropped"))
    stride = max(1, math.ceil(rows / MOST_SCORED))
    return list(index.waves[::stride])


def _add_wave(viewed: ViewedRun, index: Index, wave: str, found: dict[Place, list[Values]]) -> None:
    for entry in index.entries(wave, "nodes", "dropped"):
        table = read_shard(viewed.store, entry, ["role", "scores"])
        roles = np.array(table.column("role").to_pylist())
        measures = scores_from_table(table)
        for column, name in enumerate(measures.names):
            values = measures.scores[:, column]
            known = ~np.isnan(values)
            for role in sorted(set(roles[known].tolist())):
                chosen = values[known & (roles == role)]
                found[name, role, entry.table == "nodes"].append(chosen)


def _told(
    viewed: ViewedRun, name: str, role: str, found: dict[Place, list[Values]]
) -> dict[str, Any]:
    kept, fallen = (
        np.concatenate(found.get((name, role, side), [np.empty(0, np.float32)]))
        for side in (True, False)
    )
    both = np.concatenate([kept, fallen])
    return {
        "score": name,
        "role": role,
        "low": float(both.min()),
        "high": float(both.max()),
        "kept": _quantiles(kept),
        "num_kept": len(kept),
        "dropped": _quantiles(fallen),
        "num_dropped": len(fallen),
        "limits": _limits(viewed, name, role),
    }


def _quantiles(values: Values) -> list[float]:
    """In order: of few values all, else evenly spaced ones."""
    if len(values) <= _STEPS:
        return [float(value) for value in np.sort(values)]
    marks = np.quantile(values, np.linspace(0.0, 1.0, _STEPS + 1))
    return [round(float(mark), 5) for mark in marks]


def _limits(viewed: ViewedRun, name: str, role: str) -> list[dict[str, Any]]:
    """What the run compares a score with: infinite values lie beyond every threshold."""
    return [
        {"filter": entry.filter, "relation": told.relation, "threshold": told.threshold}
        for entry in viewed.run_file.generation.curation.filters
        if role in entry.roles
        for extreme in (math.inf, -math.inf)
        for told in evidence(entry, {name: extreme})
        if told.score == name
    ]


def falling(viewed: ViewedRun, query: Query) -> Lines:
    """Kept turns that lie beyond a threshold."""
    index, relation = viewed.index(), query.text("relation", ">")
    if relation not in _RELATIONS:
        raise UserError(f"relation: found {relation[:9]!r}, expected < or >.")
    name, role, threshold = query.text("score"), query.text("role", ""), query.amount("threshold")

    def rows_of(wave: str) -> list[Row]:
        rows: list[Row] = []
        for entry in index.entries(wave, "nodes"):
            table = read_shard(viewed.store, entry, [*LISTED, "scores"])
            rows += _beyond(table, name, relation, threshold)
        return [shortened(r) | {"wave": wave} for r in rows if role in ("", r["role"])]

    return paged(index, query, rows_of)


def _beyond(table: pa.Table, name: str, relation: str, threshold: float) -> Sequence[Row]:
    measures = scores_from_table(table)
    if name not in measures.names:
        return ()
    values = measures.scores[:, measures.names.index(name)]
    hits = np.flatnonzero(_RELATIONS[relation](values, np.float32(threshold)))
    rows = table.select(LISTED).take(pa.array(hits)).to_pylist()
    return [row | {"value": float(values[i])} for row, i in zip(rows, hits, strict=True)]
