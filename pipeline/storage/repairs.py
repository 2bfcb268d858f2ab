"""Repairs: which waves and snapshots count no more, because something in them was damaged.

The number of the last repair that retired a wave, or one above it, is the wave's epoch. It stands
in the name of the wave's next manifest; so what was retired stays as it is, and nothing is ever
overwritten. Whoever knows the repairs takes the manifests of the current epochs only.
"""

from collections.abc import Sequence

from pipeline.storage.settle import settle
from pipeline.storage.store import Store
from schemas.errors import AlreadyExists
from schemas.manifest import Repair

REPAIRS = "repairs"


class Repairs:
    """All repairs of a run."""

    def __init__(self, repairs: Sequence[Repair] = ()) -> None:
        self.last = max((repair.number for repair in repairs), default=0)
        ordered = sorted(repairs, key=lambda repair: repair.number)
        self._epochs = {wave: repair.number for repair in ordered for wave in repair.waves}
        self._snapshots = {n: repair.number for repair in ordered for n in repair.snapshots}

    def epoch_of(self, wave: str) -> int:
        """The epoch whose manifest of a wave counts."""
        if not self._epochs:
            return 0
        parts = wave.split(".")
        lineage = (".".join(parts[:depth]) for depth in range(1, len(parts) + 1))
        return max(self._epochs.get(name, 0) for name in lineage)

    def retired_by(self, snapshot: int) -> int | None:
        """The repair that retired a snapshot; None if it may be read."""
        return self._snapshots.get(snapshot)


def read_repairs(store: Store) -> Repairs:
    """Those there are, by one listing."""
    names = [name for name in store.list(REPAIRS) if name.endswith(".json")]
    return Repairs([_parse(store, name, store.read(name)) for name in names])


def write_repair(store: Store, repair: Repair) -> None:
    """Make a repair count; `AlreadyExists` if another one has its number."""
    name = f"{REPAIRS}/{repair.number:05d}.json"
    if _parse(store, name, settle(store, name, repair.to_bytes())) != repair:
        raise AlreadyExists(
            f"{store.location}/{name}: another repair took this number meanwhile; start the same "
            "command again."
        )


def _parse(store: Store, name: str, payload: bytes) -> Repair:
    return Repair.from_bytes(payload, name=f"{store.location}/{name}")
