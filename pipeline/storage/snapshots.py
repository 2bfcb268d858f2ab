"""Snapshots: immutable files that say what may be read together."""

from collections import Counter
from collections.abc import Iterable, Sequence

from pipeline.storage.drops import DROPS, number_of
from pipeline.storage.ledger import Ledger
from pipeline.storage.repairs import read_repairs
from pipeline.storage.settle import settle
from pipeline.storage.shards import WAVE_TABLES
from pipeline.storage.store import Store
from schemas.errors import AlreadyExists, CorruptData, StoreError
from schemas.fingerprint import digest
from schemas.manifest import Counts, Manifest, ManifestEntry, RunFile, Snapshot

SNAPSHOTS = "snapshots"


def build_snapshot(
    run_file: RunFile,
    manifests: Sequence[Manifest],
    *,
    number: int,
    complete: bool,
    biases: tuple[str, ...] | None = None,
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
        biases=biases,
        manifests=tuple(ManifestEntry(wave=m.wave, digest=digest(m.to_bytes())) for m in manifests),
        shards=tuple(entry for m in manifests for entry in m.shards),
        counts=add_counts(m.counts for m in manifests),
        software=tuple(dict.fromkeys(s for m in manifests for s in m.software)),
    )


def add_counts(parts: Iterable[Counts]) -> Counts:
    """The sum of counts."""
    total: Counter[str] = Counter()
    dropped: Counter[str] = Counter()
    asides: Counter[str] = Counter()
    for part in parts:
        total.update(part.model_dump(exclude={"dropped", "asides"}))
        dropped.update(part.dropped)
        asides.update(part.asides)
    return Counts(
        asked=total["asked"],
        kept=total["kept"],
        dropped=dict(sorted(dropped.items())),
        prompt_tokens=total["prompt_tokens"],
        output_tokens=total["output_tokens"],
        asides=dict(sorted(asides.items())),
        aside_tokens=total["aside_tokens"],
        given=total["given"],
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
    """The snapshot with the highest number of those that count; None if there is none."""
    numbers = snapshot_numbers(store)
    return _read(store, numbers[-1]) if numbers else None


def snapshot_numbers(store: Store) -> list[int]:
    """The numbers of the snapshots that no repair retired, in order."""
    repairs = read_repairs(store)
    return [number for number in all_numbers(store) if repairs.retired_by(number) is None]


def next_number(store: Store) -> int:
    """The number that the next snapshot will have, if no other one takes it."""
    return max(all_numbers(store), default=0) + 1


def all_numbers(store: Store) -> list[int]:
    """The numbers that were ever given, in order."""
    stems = [name[len(SNAPSHOTS) + 1 : -5] for name in store.list(SNAPSHOTS)]
    return sorted(int(stem) for stem in stems if stem.isascii() and stem.isdecimal())


def read_snapshot(store: Store, number: int) -> Snapshot:
    """The snapshot with a number; `NotFound` if there is none."""
    repair = read_repairs(store).retired_by(number)
    if repair is not None:
        raise CorruptData(
            f"{store.location}: snapshot {number} was retired by repair {repair}, as something "
            "that it names was damaged; use a later snapshot (`arborist generate` seals one)."
        )
    return _read(store, number)


def _read(store: Store, number: int) -> Snapshot:
    name = _name(number)
    return _parse(store, name, store.read(name))


def sweep_orphans(store: Store, snapshot: Snapshot) -> int:
    """Delete the shards that no manifest of a complete run names, and the drop lists of lost
    refinements; how many there were."""
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
    orphans = [n for folder in WAVE_TABLES for n in store.list(folder) if n not in named]
    orphans += _orphan_drops(store)
    for orphan in orphans:
        store.delete(orphan)
    return len(orphans)


def _orphan_drops(store: Store) -> list[str]:
    """Drop lists made for a number whose snapshot names another one, or none.

    While a number has no snapshot, a list made for it may be about to be named.
    """
    sealed, count = set(all_numbers(store)), set(snapshot_numbers(store))
    lists = [(number_of(name), name) for name in store.list(DROPS)]
    named: dict[int, str | None] = {}
    for number in {number for number, _ in lists} & sealed:
        drops = _read(store, number).drops if number in count else None
        named[number] = drops.name if drops else None
    return [name for number, name in lists if number in named and named[number] != name]


def _name(number: int) -> str:
    return f"{SNAPSHOTS}/{number:05d}.json"


def _parse(store: Store, name: str, payload: bytes) -> Snapshot:
    where = f"{store.location}/{name}"
    snapshot = Snapshot.from_bytes(payload, name=where)
    if _name(snapshot.number) != name:
        raise CorruptData(f"{where}: holds snapshot {snapshot.number}; the file was renamed.")
    return snapshot
