"""Re-check what snapshots say: the manifests they name, their sums, and that nothing is beside."""

from collections.abc import Iterator, Mapping, Sequence

from pipeline.plan.agenda import whole_cohorts
from pipeline.storage.ledger import Ledger
from pipeline.storage.repairs import Repairs
from pipeline.storage.shards import WAVE_TABLES
from pipeline.storage.snapshots import add_counts, read_snapshot, snapshot_numbers
from pipeline.storage.store import Store
from pipeline.verify.defect import Defect
from pipeline.verify.drops import drop_defects
from schemas.errors import CorruptData
from schemas.fingerprint import digest
from schemas.manifest import Manifest, Snapshot
from schemas.wave_id import WaveId


def readable_snapshots(store: Store, repairs: Repairs) -> tuple[list[Snapshot], list[Defect]]:
    """Those that count, in order, and what keeps others from being read."""
    snapshots, unreadable = [], []
    for number in snapshot_numbers(store, repairs):
        try:
            snapshots.append(read_snapshot(store, number))
        except CorruptData as error:
            unreadable.append(Defect(str(error), snapshot=number))
    return snapshots, unreadable


def snapshot_defects(
    snapshots: Sequence[Snapshot],
    ledger: Ledger,
    manifests: Mapping[str, Manifest],
    planned: Sequence[tuple[WaveId, bool]],
) -> Iterator[Defect]:
    """Defects of the snapshots that count, the latest one looked at closely; `planned` are all
    waves that are known to exist, with whether they are committed."""
    for snapshot in snapshots:
        yield from _named_defects(ledger, snapshot, manifests)
    if snapshots:
        latest = snapshots[-1]
        for text in _latest_defects(ledger, latest, manifests, planned):
            yield Defect(text, snapshot=latest.number)
        if latest.complete:
            yield from _orphan_defects(ledger.store, latest)


def _latest_defects(
    ledger: Ledger,
    snapshot: Snapshot,
    manifests: Mapping[str, Manifest],
    planned: Sequence[tuple[WaveId, bool]],
) -> Iterator[str]:
    if snapshot.complete:
        yield from _complete_defects(ledger, snapshot, manifests, planned)
    else:
        yield from _partial_defects(snapshot, planned)
    yield from drop_defects(ledger.store, snapshot)


def _named_defects(
    ledger: Ledger, snapshot: Snapshot, manifests: Mapping[str, Manifest]
) -> Iterator[Defect]:
    """The manifests are those that it names, and add up to what it says."""
    number = snapshot.number
    named = {entry.wave: entry.digest for entry in snapshot.manifests}
    for wave, expected in named.items():
        name = ledger.name_of(wave)
        if wave not in manifests:
            text = f"{name}: named by snapshot {number}, missing or damaged."
            yield Defect(text, wave=wave, snapshot=number)
        elif digest(ledger.store.read(name)) != expected:
            yield Defect(f"{name}: is not what snapshot {number} names.", snapshot=number)
    if named.keys() <= manifests.keys():
        for text in _sum_defects(snapshot, [manifests[wave] for wave in named]):
            yield Defect(text, snapshot=number)


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
    ledger: Ledger,
    snapshot: Snapshot,
    manifests: Mapping[str, Manifest],
    planned: Sequence[tuple[WaveId, bool]],
) -> Iterator[str]:
    """A complete snapshot names all there is."""
    for missing in (wave for wave, committed in planned if not committed):
        yield (
            f"{ledger.name_of(missing.name)}: planned, not committed, but the snapshot says "
            "complete."
        )
    named = {entry.wave for entry in snapshot.manifests}
    for wave in sorted(manifests.keys() - named):
        yield f"{ledger.name_of(wave)}: not named by the complete snapshot {snapshot.number}."


def _orphan_defects(store: Store, snapshot: Snapshot) -> Iterator[Defect]:
    """Nothing else lies beside the shards of a complete snapshot."""
    files = {entry.name for entry in snapshot.shards}
    for folder in WAVE_TABLES:
        for name in sorted(set(store.list(folder)) - files):
            yield Defect(
                f"{name}: lies beside the shards of a complete snapshot that does not name it.",
                orphan=True,
            )
