"""The forest at a glance: the run in figures, then its trees, cohort by cohort."""

from collections import Counter
from typing import Any

import numpy as np

from pipeline.storage.shards import read_shard
from pipeline.view.index import Index
from pipeline.view.query import Lines, Query
from pipeline.view.run import ViewedRun
from schemas.root_table import from_root_table
from schemas.wave_id import WaveId

MOST_TREES = 20_000
"""In one answer; the next page goes on."""
_ROOT_CHARS = 160


def summary(viewed: ViewedRun, query: Query) -> dict[str, Any]:
    """The first page: from the snapshot or the ledger alone, no shard is read."""
    index, run_file = viewed.index(), viewed.run_file
    spec, counts, snapshot = run_file.generation, index.counts, index.snapshot
    return {
        "location": viewed.store.location,
        "run_id": run_file.run_id,
        "recipe": spec.recipe,
        "model": spec.model.name,
        "sealed": index.sealed,
        "snapshot": snapshot.number if snapshot else None,
        "refined": snapshot.refinement.dropped if snapshot and snapshot.refinement else {},
        "counts": counts.model_dump(),
        "waves": len(index.waves),
        "levels": _levels(viewed, index),
        "cohorts": [_cohort(index, cohort) for cohort in index.cohorts],
        "decodes": bool(viewed.at_hand.decoders),
        "missing": viewed.at_hand.missing,
    }


def _levels(viewed: ViewedRun, index: Index) -> list[dict[str, Any]]:
    kept: Counter[int] = Counter()
    dropped: Counter[int] = Counter()
    for wave in index.waves:
        level = WaveId.parse(wave).level
        # Roots lie with the first wave, and were not asked for.
        kept[level] += index.rows(wave, "nodes") - index.rows(wave, "roots")
        dropped[level] += index.rows(wave, "dropped")
    return [
        {"level": n, "role": viewed.role(n), "kept": kept[n], "dropped": dropped[n]}
        for n in sorted(kept)
    ]


def _cohort(index: Index, cohort: int) -> list[int]:
    """Its number, trees, kept and dropped rows, depth."""
    waves = index.cohorts[cohort]
    trees, kept, dropped = (
        sum(index.rows(wave, table) for wave in waves) for table in ("roots", "nodes", "dropped")
    )
    depth = max(WaveId.parse(wave).level for wave in waves)
    return [cohort, trees, kept - trees, dropped, depth]


def trees(viewed: ViewedRun, query: Query) -> Lines:
    """The trees of cohort after cohort, from one on, until enough are told."""
    index = viewed.index()
    first, told = query.number("from", 0), 0
    most = min(query.number("most", MOST_TREES), MOST_TREES)
    for cohort in index.cohorts:
        if cohort < first:
            continue
        if told >= most:
            yield {"next": cohort}
            return
        rows = _trees_of(viewed, index, cohort)
        told += len(rows)
        yield {"cohort": cohort, "trees": rows}
    yield {"next": None}


def roots(viewed: ViewedRun, query: Query) -> dict[str, Any]:
    """What the trees of a cohort grow from: the beginning of the last text before their turns."""
    index, cohort = viewed.index(), query.number("cohort")
    told: dict[int, str] = {}
    for wave in index.cohorts.get(cohort, [])[:1]:
        for entry in index.entries(wave, "roots"):
            for root in from_root_table(read_shard(viewed.store, entry)):
                told[root.tree_id] = root.frame[-1].text[:_ROOT_CHARS] if root.frame else ""
    return {"roots": told}


def _trees_of(viewed: ViewedRun, index: Index, cohort: int) -> list[list[int]]:
    """Of each tree its number, kept and dropped rows, depth, and tokens."""
    parts = [_columns(viewed, index, wave) for wave in index.cohorts[cohort]]
    tree, level, tokens, kept = (np.concatenate(column) for column in zip(*parts, strict=True))
    ids, row = np.unique(tree, return_inverse=True)
    sampled = level > 0
    depth = np.zeros(len(ids), dtype=np.int64)
    np.maximum.at(depth, row[kept], level[kept])
    columns = (
        ids,
        np.bincount(row, kept & sampled, len(ids)),
        np.bincount(row, ~kept, len(ids)),
        depth,
        np.bincount(row, tokens * sampled, len(ids)),
    )
    return np.stack(columns, axis=1).astype(np.int64).tolist()  # type: ignore[no-any-return]


def _columns(viewed: ViewedRun, index: Index, wave: str) -> tuple[np.ndarray, ...]:
    parts: list[tuple[np.ndarray, ...]] = []
    for entry in index.entries(wave, "nodes", "dropped"):
        table = read_shard(viewed.store, entry, ["tree_id", "level", "num_tokens"])
        numbers = [column.to_numpy() for column in table.columns]
        parts.append((*numbers, np.full(table.num_rows, entry.table == "nodes")))
    empty = (np.empty(0, np.int32),) * 3 + (np.empty(0, bool),)
    return tuple(np.concatenate(column) for column in zip(empty, *parts, strict=True))
