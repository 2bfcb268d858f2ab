"""Re-check what a snapshot says: the manifests it names, their sums, and that nothing is beside."""

from collections.abc import Iterator, Mapping, Sequence

from pipeline.plan.agenda import whole_cohorts
from pipeline.storage.shards import WAVE_TABLES
from pipeline.storage.snapshots import add_counts, latest
from pipeline.storage.store import Store
from pipeline.verify_drops import drop_defects
from schemas.errors import CorruptData
from schemas.fingerprint import digest
from schemas.manifest import Manifest, Snapshot
from schemas.wave_id import WaveId


def snapshot_defects(
    store: Store, manifests: Mapping[str, Manifest], planned: Sequence[tuple[WaveId, bool]]
) -> Iterator[str]:
    """Defects of the latest snapshot; `planned` are all waves that are known to exist, with
    whether they are committed."""
    try:
        snapshot = latest(store)
    except CorruptData as error:
        yield str(error)
        return
    if snapshot is None:
        return
    yield from _named_defects(store, snapshot, manifests)
    if snapshot.complete:
        yield from _complete_defects(store, snapshot, manifests, planned)
    else:
        yield from _partial_defects(snapshot, planned)
    yield from drop_defects(store, snapshot)


def _named_defects(
    store: Store, snapshot: Snapshot, manifests: Mapping[str, Manifest]
) -> Iterator[str]:
    """The manifests are those that it names, and add up to what it says."""
    named = {entry.wave: entry.digest for entry in snapshot.manifests}
    for wave, expected in named.items():
        if wave not in manifests:
            yield f"ledger/{wave}.json: named by snapshot {snapshot.number}, missing or damaged."
        elif digest(store.read(f"ledger/{wave}.json")) != expected:
            yield f"ledger/{wave}.json: is not what snapshot {snapshot.number} names."
    if named.keys() <= manifests.keys():
        yield from _sum_defects(snapshot, [manifests[wave] for wave in named])


def _partial_defects(snapshot: Snapshot, planned: Sequence[tuple[WaveId, bool]]) -> Iterator[str]:
    """A partial snapshot names the first cohorts of the plan, each of them to its end."""
    named = [WaveId.parse(entry.wave) for entry in snapshot.manifests]
    last = max((wave.cohort for wave in named), default=-1)
    if named != [wave for wave in whole_cohorts(planned) if wave.cohort <= last]:
        yield (
            f"snapshot {snapshot.number}: is partial, but does not name the first cohorts of the "
            "plan, each to its end."
        )


def _sum_defects(snapshot: Snapshot, manifests: Sequence[Manifest]) -> Iterator[str]:
    shards = tuple(entry for manifest in manifests for entry in manifest.shards)
    if snapshot.shards != shards:
        yield f"snapshot {snapshot.number}: its shards are not those of the manifests it names."
    total = add_counts(manifest.counts for manifest in manifests)
    if snapshot.counts != total:
        yield (
            f"snapshot {snapshot.number}: counts {snapshot.counts}; the manifests it names "
            f"add up to {total}."
        )


def _complete_defects(
    store: Store,
    snapshot: Snapshot,
    manifests: Mapping[str, Manifest],
    planned: Sequence[tuple[WaveId, bool]],
) -> Iterator[str]:
    """A complete snapshot names all there is, and nothing else lies beside it."""
    for missing in (wave for wave, committed in planned if not committed):
        yield f"ledger/{missing.name}.json: planned, not committed, but the snapshot says complete."
    named = {entry.wave for entry in snapshot.manifests}
    for wave in sorted(manifests.keys() - named):
        yield f"ledger/{wave}.json: not named by the complete snapshot {snapshot.number}."
    files = {entry.name for entry in snapshot.shards}
    for folder in WAVE_TABLES:
        for name in sorted(set(store.list(folder)) - files):
            yield f"{name}: lies beside the shards of a complete snapshot that does not name it."
