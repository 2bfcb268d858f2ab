"""Which shards a run has now: by its snapshot where that is complete, else by its ledger."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from pipeline.storage.ledger import Ledger
from pipeline.storage.snapshots import add_counts, latest
from pipeline.storage.store import Store
from schemas.errors import UserError
from schemas.manifest import Counts, Manifest, ShardEntry, Snapshot, Table
from schemas.wave_id import WaveId

Shards = Mapping[str, tuple[ShardEntry, ...]]
"""By wave, in order of name."""


@dataclass(frozen=True, eq=False)
class Index:
    """A run at one moment."""

    snapshot: Snapshot | None
    """The latest."""
    counts: Counts
    shards: Shards

    @property
    def sealed(self) -> bool:
        """Whether nothing comes any more."""
        return self.snapshot is not None and self.snapshot.complete

    @cached_property
    def waves(self) -> tuple[str, ...]:
        """In order, as lists are paged."""
        return tuple(sorted(self.shards, key=WaveId.parse))

    @cached_property
    def cohorts(self) -> dict[int, list[str]]:
        """The waves of each."""
        found: dict[int, list[str]] = defaultdict(list)
        for wave in self.waves:
            found[WaveId.parse(wave).cohort].append(wave)
        return dict(found)

    @cached_property
    def _below(self) -> dict[WaveId | None, list[str]]:
        found: dict[WaveId | None, list[str]] = defaultdict(list)
        for wave in self.waves:
            found[WaveId.parse(wave).parent].append(wave)
        return found

    def below(self, wave: str) -> list[str]:
        """The waves whose parents are kept nodes of this one."""
        return self._below.get(WaveId.parse(wave), [])

    def entries(self, wave: str, *tables: Table) -> list[ShardEntry]:
        """A wave's shards of these tables."""
        if wave not in self.shards:
            raise UserError(f"wave {wave[:60]}: is not committed, or no wave of this run.")
        return [entry for entry in self.shards[wave] if entry.table in tables]

    def rows(self, wave: str, table: Table) -> int:
        """How many a table of a wave has."""
        return sum(entry.rows for entry in self.shards[wave] if entry.table == table)


class Manifests(Mapping[str, Manifest]):
    """The manifests of the waves of an index, each read when it is asked for."""

    def __init__(self, ledger: Ledger, index: Index) -> None:
        self._ledger, self._index = ledger, index

    def __getitem__(self, wave: str) -> Manifest:
        found = self._ledger.read(wave) if wave in self._index.shards else None
        if found is None:
            raise KeyError(wave)
        return found

    def __iter__(self) -> Iterator[str]:
        return iter(self._index.waves)

    def __len__(self) -> int:
        return len(self._index.waves)


def look(store: Store, known: dict[str, Manifest]) -> Index:
    """The run now; `known` keeps the manifests of a growing one from look to look."""
    snapshot = latest(store)
    if snapshot is not None and snapshot.complete:
        return Index(snapshot, snapshot.counts, _by_wave(snapshot))
    ledger = Ledger(store)
    committed = set(ledger.waves())
    for retired in known.keys() - committed:
        del known[retired]
    known.update(ledger.news(known.keys()))
    counts = add_counts(manifest.counts for manifest in known.values())
    return Index(snapshot, counts, {wave: known[wave].shards for wave in sorted(known)})


def _by_wave(snapshot: Snapshot) -> Shards:
    found: dict[str, list[ShardEntry]] = {entry.wave: [] for entry in snapshot.manifests}
    for shard in snapshot.shards:
        found[shard.stem.partition("-")[0]].append(shard)
    return {wave: tuple(shards) for wave, shards in found.items()}
