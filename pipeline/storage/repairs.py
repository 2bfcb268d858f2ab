"""Repairs: which waves and snapshots count no more, because something in them was damaged.

The number of the last repair that retired a wave, or one above it, is the wave's epoch. It stands
in the name of the wave's next manifest, and beside each wave that a snapshot names; so what was
retired stays as it is, nothing is ever overwritten, and what a driver who does not know of a repair
still writes does not count either.
"""

import re
from collections.abc import Sequence

from pipeline.storage.settle import settle
from pipeline.storage.store import Store
from schemas.errors import AlreadyExists, CorruptData, NotFound
from schemas.manifest import Repair, Snapshot
from schemas.wave_id import WaveId

REPAIRS = "repairs"
_FILE = re.compile(rf"{REPAIRS}/[0-9]{{5,10}}\.json")


class Repairs:
    """All repairs of a run, in order."""

    def __init__(self, repairs: Sequence[Repair] = ()) -> None:
        self.last = len(repairs)
        """The number of the last one; 0 where there is none."""
        self.run_id = repairs[0].run_id if repairs else None
        self.withdrawn = frozenset(node for repair in repairs for node in repair.withdrawn)
        """Nodes that had been left out by hand."""
        self._epochs = {wave: repair.number for repair in repairs for wave in repair.waves}
        self._snapshots = {n: repair.number for repair in repairs for n in repair.snapshots}

    def epoch_of(self, wave: str) -> int:
        """The epoch whose manifest of a wave counts."""
        if not self._epochs:
            return 0
        return max(self._epochs.get(above.name, 0) for above in WaveId.parse(wave).lineage)

    def retired(self, number: int) -> int | None:
        """The repair that found a snapshot damaged."""
        return self._snapshots.get(number)

    def retired_by(self, snapshot: Snapshot) -> int | None:
        """The repair since which a snapshot may not be read; None if it may."""
        epochs = ((entry.epoch, self.epoch_of(entry.wave)) for entry in snapshot.manifests)
        since = (current for own, current in epochs if own != current)
        return self.retired(snapshot.number) or next(since, None)


def read_repairs(store: Store) -> Repairs:
    """Those there are; asked for by number past what a listing shows, which may be an old one."""
    names = sorted(name for name in store.list(REPAIRS) if _FILE.fullmatch(name))
    repairs = [_parse(store, name, store.read(name)) for name in names]
    while (unlisted := _find(store, len(repairs) + 1)) is not None:
        repairs.append(unlisted)
    if [repair.number for repair in repairs] != list(range(1, len(repairs) + 1)):
        raise CorruptData(
            f"{store.location}/{REPAIRS}: found repairs {[r.number for r in repairs][:20]}, "
            "expected each from 1 on; one was removed, and what it retired would come back."
        )
    if len({repair.run_id for repair in repairs}) > 1:
        raise CorruptData(
            f"{store.location}/{REPAIRS}: holds repairs of several runs; files of another run were "
            "copied here."
        )
    return Repairs(repairs)


def write_repair(store: Store, repair: Repair) -> None:
    """Make a repair count; `AlreadyExists` if another one has its number."""
    name = _name(repair.number)
    if _parse(store, name, settle(store, name, repair.to_bytes())) != repair:
        raise AlreadyExists(
            f"{store.location}/{name}: another repair took this number meanwhile; start the same "
            "command again."
        )


def _find(store: Store, number: int) -> Repair | None:
    name = _name(number)
    try:
        return _parse(store, name, store.read(name))
    except NotFound:
        return None


def _parse(store: Store, name: str, payload: bytes) -> Repair:
    where = f"{store.location}/{name}"
    repair = Repair.from_bytes(payload, name=where)
    if _name(repair.number) != name:
        raise CorruptData(f"{where}: holds repair {repair.number}; the file was renamed.")
    return repair


def _name(number: int) -> str:
    return f"{REPAIRS}/{number:05d}.json"
