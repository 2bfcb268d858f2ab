"""Snapshots: immutable files that say what may be read together."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence

from pipeline.storage.drops import DROPS, number_of
from pipeline.storage.ledger import Ledger
from pipeline.storage.repairs import Repairs, read_repairs
from pipeline.storage.settle import settle
from pipeline.storage.shards import WAVE_TABLES
from pipeline.storage.store import Store
from schemas.errors import AlreadyExists, CorruptData, StoreError, UserError
from schemas.fingerprint import digest
from schemas.manifest import Counts, Manifest, ManifestEntry, RunFile, Snapshot

SNAPSHOTS = "snapshots"
_FILE = re.compile(rf"{SNAPSHOTS}/(?P<number>[0-9]{{5}}|[1-9][0-9]{{5,9}})\.json")


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
        manifests=tuple(
            ManifestEntry(wave=m.wave, epoch=m.epoch, digest=digest(m.to_bytes()))
            for m in manifests
        ),
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
        unused_tokens=total["unused_tokens"],
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
    repairs = read_repairs(store)
    for number in reversed(all_numbers(store)):
        if repairs.retired(number) is None:
            snapshot = _read(store, number)
            if repairs.retired_by(snapshot) is None:
                return snapshot
    return None


def snapshot_numbers(store: Store, repairs: Repairs | None = None) -> list[int]:
    """The numbers of the snapshots that no repair retired, in order."""
    repairs = read_repairs(store) if repairs is None else repairs
    return [number for number in all_numbers(store) if _counts(store, number, repairs)]


def next_number(store: Store) -> int:
    """The number that the next snapshot will have, if no other one takes it."""
    return max(all_numbers(store), default=0) + 1


def all_numbers(store: Store) -> list[int]:
    """The numbers that were ever given, in order."""
    files = filter(None, map(_FILE.fullmatch, store.list(SNAPSHOTS)))
    return sorted(int(file["number"]) for file in files)


def read_snapshot(store: Store, number: int) -> Snapshot:
    """The snapshot with a number; `NotFound` if there is none."""
    repairs = read_repairs(store)
    if (repair := repairs.retired(number)) is None:
        snapshot = _read(store, number)
        if (repair := repairs.retired_by(snapshot)) is None:
            return snapshot
    raise CorruptData(
        f"{store.location}: snapshot {number} was retired by repair {repair}, as something that "
        "it names was damaged; use a later snapshot (`arborist generate` seals one)."
    )


def check_withdrawn(store: Store, snapshot: Snapshot) -> None:
    """Refuse a snapshot made after a repair, if it may hold again what was left out by hand."""
    withdrawn = read_repairs(store).withdrawn
    if withdrawn and snapshot.refinement is None:
        raise UserError(
            f"{store.location}: {len(withdrawn)} nodes were withdrawn before a repair, and "
            f"snapshot {snapshot.number} may hold them again; `arborist refine` with this run "
            "takes them out, then its snapshot may be used."
        )


def sweep_orphans(store: Store, snapshot: Snapshot) -> int:
    """Delete the shards that no manifest of a complete run names, and the drop lists of lost
    refinements; how many there were."""
    if not snapshot.complete:
        raise StoreError(
            f"{store.location}: snapshot {snapshot.number} is partial, and a driver may still be "
            "writing; orphans are swept once every planned wave is committed."
        )
    named = {entry.name for entry in snapshot.shards}
    # Listed before it is known that the snapshot still counts: what comes after that stays.
    orphans = [n for folder in WAVE_TABLES for n in store.list(folder) if n not in named]
    orphans += _orphan_drops(store)
    _check_current(store, snapshot)
    for orphan in orphans:
        store.delete(orphan)
    return len(orphans)


def _check_current(store: Store, snapshot: Snapshot) -> None:
    """A snapshot names just the waves that are committed now, each in its epoch."""
    ledger = Ledger(store)
    committed = {(wave, ledger.epoch_of(wave)) for wave in ledger.waves()}
    unnamed = committed ^ {(entry.wave, entry.epoch) for entry in snapshot.manifests}
    if unnamed:
        raise CorruptData(
            f"{store.location}: snapshot {snapshot.number} and the ledger do not name the same "
            f"waves (first: {min(unnamed)[0]}), so nothing was swept. Where a repair came "
            "meanwhile, start the same command again; else `arborist verify` says what is wrong, "
            "and `arborist repair` mends it."
        )


def _orphan_drops(store: Store) -> list[str]:
    """Drop lists made for a number whose snapshot names another one, or none.

    While a number has no snapshot, a list made for it may be about to be named. Those of retired
    snapshots stay, since they say what was withdrawn by hand.
    """
    orphans: list[str] = []
    lists = {name: number_of(name) for name in store.list(DROPS)}
    for number in set(all_numbers(store)).intersection(lists.values()):
        try:
            drops = _read(store, number).drops
        except CorruptData:
            continue
        named = drops.name if drops else None
        orphans += [name for name, own in lists.items() if own == number and name != named]
    return orphans


def _counts(store: Store, number: int, repairs: Repairs) -> bool:
    """Whether no repair retired it; one that cannot be read, and is not known to be damaged, has
    yet to be found so."""
    if repairs.retired(number) is not None:
        return False
    try:
        return repairs.retired_by(_read(store, number)) is None
    except CorruptData:
        return True


def _read(store: Store, number: int) -> Snapshot:
    name = _name(number)
    return _parse(store, name, store.read(name))


def _name(number: int) -> str:
    return f"{SNAPSHOTS}/{number:05d}.json"


def _parse(store: Store, name: str, payload: bytes) -> Snapshot:
    where = f"{store.location}/{name}"
    snapshot = Snapshot.from_bytes(payload, name=where)
    if _name(snapshot.number) != name:
        raise CorruptData(f"{where}: holds snapshot {snapshot.number}; the file was renamed.")
    return snapshot
