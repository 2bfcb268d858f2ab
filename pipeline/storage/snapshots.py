"""Snapshots: immutable files that say what may be read together."""

from collections import Counter
from collections.abc import Iterable, Sequence

from pipeline.storage.ledger import Ledger
from pipeline.storage.settle import settle
from pipeline.storage.shards import DROPPED, KEPT
from pipeline.storage.store import Store
from schemas.errors import AlreadyExists, CorruptData, StoreError
from schemas.fingerprint import digest
from schemas.manifest import Counts, Manifest, ManifestEntry, RunFile, Snapshot

SNAPSHOTS = "snapshots"


def build_snapshot(
    run_file: RunFile, manifests: Sequence[Manifest], *, number: int, complete: bool
) -> Snapshot:
    """The snapshot that names these manifests, in the order given. Equal ones give equal bytes."""
    for manifest in manifests:
        if manifest.run_id != run_file.run_id:
            raise CorruptData(
                f"The manifest of wave {manifest.wave} belongs to run {manifest.run_id}, expected "
                f"{run_file.run_id}; files of another run were copied into the ledger."
            )
    return Snapshot(
        run_id=run_file.run_id,
        number=number,
        complete=complete,
        guarantee=run_file.generation.guarantee,
        manifests=tuple(ManifestEntry(wave=m.wave, digest=digest(m.to_bytes())) for m in manifests),
        shards=tuple(entry for m in manifests for entry in m.shards),
        counts=add_counts(m.counts for m in manifests),
        software=tuple(dict.fromkeys(s for m in manifests for s in m.software)),
    )


def add_counts(parts: Iterable[Counts]) -> Counts:
    """The sum of counts."""
    total: Counter[str] = Counter()
    dropped: Counter[str] = Counter()
    for part in parts:
        total.update(part.model_dump(exclude={"dropped"}))
        dropped.update(part.dropped)
    return Counts(
        asked=total["asked"],
        kept=total["kept"],
        dropped=dict(sorted(dropped.items())),
        prompt_tokens=total["prompt_tokens"],
        output_tokens=total["output_tokens"],
    )


def seal_snapshot(store: Store, snapshot: Snapshot) -> None:
    """Write a snapshot under its number; `AlreadyExists` if another one has it."""
    name = _name(snapshot.number)
    if _parse(store, name, settle(store, name, snapshot.to_bytes())) != snapshot:
        raise AlreadyExists(
            f"{store.location}/{name}: there is another snapshot with this number, and snapshots "
            "never change; seal this one under the next number."
        )


def latest(store: Store) -> Snapshot | None:
    """The snapshot with the highest number; None before the first seal."""
    stems = [name[len(SNAPSHOTS) + 1 : -5] for name in store.list(SNAPSHOTS)]
    numbers = [int(stem) for stem in stems if stem.isdecimal()]
    if not numbers:
        return None
    name = _name(max(numbers))
    return _parse(store, name, store.read(name))


def sweep_orphans(store: Store, snapshot: Snapshot) -> int:
    """Delete the shards that no manifest of a complete run names; how many there were."""
    if not snapshot.complete:
        raise StoreError(
            f"{store.location}: snapshot {snapshot.number} is partial, and a driver may still be "
            "writing; orphans are swept once every planned wave is committed."
        )
    unnamed = set(Ledger(store).waves()) ^ {entry.wave for entry in snapshot.manifests}
    if unnamed:
        raise CorruptData(
            f"{store.location}: snapshot {snapshot.number} and the ledger do not name the same "
            f"waves (first: {min(unnamed)}), so nothing was swept."
        )
    named = {entry.name for entry in snapshot.shards}
    orphans = [n for folder in (KEPT, DROPPED) for n in store.list(folder) if n not in named]
    for orphan in orphans:
        store.delete(orphan)
    return len(orphans)


def _name(number: int) -> str:
    return f"{SNAPSHOTS}/{number:05d}.json"


def _parse(store: Store, name: str, payload: bytes) -> Snapshot:
    return Snapshot.from_bytes(payload, name=f"{store.location}/{name}")
