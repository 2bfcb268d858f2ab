"""One pass over a run's rows: lengths of all, samples of texts, what repeats what.

In memory are the sampled rows, some small counts, and the shards that are read ahead.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.report.lengths import LengthTally
from pipeline.report.repeats import RepeatTally, Show
from pipeline.report.sampling import Sample
from pipeline.storage.reader import read_dropped, read_kept
from pipeline.storage.shards import read_shard
from pipeline.storage.store import Store
from schemas.manifest import ShardEntry, Snapshot
from schemas.wave_id import WaveId

SAMPLE = 400
"""Rows of each level."""
EXAMPLES = 4
"""Rows of each reason."""

_KEPT = ("node_id", "level", "role", "text", "num_tokens", "finish_reason")
_DROPPED = ("node_id", "level", "role", "text", "drop_reason", "keeper_id", "similarity")
_LOOKED_THROUGH = 64
"""Shards of a level in which vectors are looked for at most."""


@dataclass
class LevelSurvey:
    """The kept rows of one level."""

    role: str
    sample: Sample
    lengths: LengthTally = field(default_factory=LengthTally)
    finished: Counter[str] = field(default_factory=Counter)
    """By finish reason."""


@dataclass
class Survey:
    """All of them."""

    levels: dict[int, LevelSurvey] = field(default_factory=dict)
    """Level 0, the roots, among them."""
    reasons: dict[str, Sample] = field(default_factory=dict)
    """Dropped rows by reason."""
    repeats: RepeatTally = field(default_factory=RepeatTally)


def survey(store: Store, snapshot: Snapshot, seed: int) -> Survey:
    """Read everything once."""
    found = Survey()
    for table in read_kept(store, snapshot, _KEPT):
        for level, rows in _by(table, "level"):
            own = found.levels.setdefault(
                level, LevelSurvey(rows.column("role")[0].as_py(), Sample(SAMPLE, seed + level))
            )
            _add(own, rows)
    dropped = [entry for entry in snapshot.shards if entry.table == "dropped"]
    for entry, table in zip(dropped, read_dropped(store, snapshot, _DROPPED), strict=True):
        found.repeats.add(table, entry.wave.name)
        for reason, rows in _by(table, "drop_reason"):
            found.reasons.setdefault(reason, Sample(EXAMPLES, seed)).offer(rows)
    return found


def _add(own: LevelSurvey, rows: pa.Table) -> None:
    own.lengths.add(rows.column("num_tokens").to_numpy())
    ends = pc.value_counts(rows.column("finish_reason")).to_pylist()
    own.finished.update({one["values"]: one["counts"] for one in ends})
    own.sample.offer(rows)


def _by(table: pa.Table, column: str) -> Iterator[tuple[Any, pa.Table]]:
    """The rows of each value, in order of value."""
    values = sorted(pc.unique(table.column(column)).drop_null().to_pylist())
    for value in values:
        yield value, table.filter(pc.equal(table.column(column), value))


def texts_of(rows: pa.Table | None, show: Show) -> list[str]:
    """As readers may see them."""
    if rows is None:
        return []
    pairs = zip(rows.column("role").to_pylist(), rows.column("text").to_pylist(), strict=True)
    return [show(role, text) for role, text in pairs]


def stored_vectors(
    store: Store, snapshot: Snapshot, level: int, wanted: Sequence[str]
) -> dict[str, np.ndarray]:
    """By node id, the vectors of those that are found in some of the level's shards; none where
    the run stored none."""
    entries = [e for e in snapshot.shards if e.table == "features" and e.wave.level == level]
    found: dict[str, np.ndarray] = {}
    for entry in _some(entries):
        table = read_shard(store, entry, ["node_id", "vector"])
        chosen = table.filter(pc.is_in(table.column("node_id"), pa.array(wanted, pa.string())))
        vectors = chosen.column("vector").to_pylist()
        if vectors and not vectors[0]:
            return {}
        ids = chosen.column("node_id").to_pylist()
        found |= {
            one: np.array(vector, np.float32) for one, vector in zip(ids, vectors, strict=True)
        }
    return found


def keeper_texts(
    store: Store, snapshot: Snapshot, keepers: Mapping[str, str], show: Show
) -> dict[str, str]:
    """The texts of kept nodes, each looked for in a wave and those above it."""
    waves = {above.name for wave in keepers.values() for above in WaveId.parse(wave).lineage}
    wanted, found = pa.array(keepers, pa.string()), dict[str, str]()
    for entry in snapshot.shards:
        if entry.table == "nodes" and entry.wave.name in waves:
            table = read_shard(store, entry, ["node_id", "role", "text"])
            chosen = table.filter(pc.is_in(table.column("node_id"), wanted))
            ids = chosen.column("node_id").to_pylist()
            found |= dict(zip(ids, texts_of(chosen, show), strict=True))
    return found


def _some(entries: Sequence[ShardEntry]) -> Sequence[ShardEntry]:
    """Evenly spread."""
    return entries[:: max(1, -(-len(entries) // _LOOKED_THROUGH))]
