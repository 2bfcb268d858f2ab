"""Repair a run: retire what is damaged, so that `generate` makes it again.

A damaged wave takes all waves below it along, since these grew from it, and all snapshots that
name one of them. Nothing is changed or deleted by it but what nothing names; what was retired is
swept when the run is sealed again.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from pipeline.storage.drops import drops_of, withdrawn_for, withdrawn_ids
from pipeline.storage.ledger import Ledger
from pipeline.storage.repairs import write_repair
from pipeline.storage.snapshots import (
    latest,
    read_snapshot,
    snapshot_numbers,
    sweep_orphans,
)
from pipeline.storage.store import Store
from pipeline.verify.defect import Defect
from schemas.errors import CorruptData
from schemas.manifest import Repair

REASONS_KEPT = 20


class Cure(NamedTuple):
    """What a repair is to do."""

    repair: Repair | None
    """None where nothing has to be retired."""
    below: int
    """Committed waves that are retired with those that it names."""
    snapshots: tuple[int, ...]
    """Numbers of those that may not be read any more."""
    orphans: bool
    """Whether files that nothing names are to be swept now."""
    beyond: tuple[str, ...]
    """Defects that no repair can mend."""


def plan_repair(ledger: Ledger, run_id: str, defects: Sequence[Defect]) -> Cure:
    """What these defects of a run ask for; `ledger` is the one that they were found with."""
    store = ledger.store
    waves = topmost(defect.wave for defect in defects if defect.wave is not None)
    damaged = {defect.snapshot for defect in defects if defect.snapshot is not None}
    counting = snapshot_numbers(store, ledger.repairs)
    snapshots = tuple(n for n in counting if n in damaged or _names(store, n, waves))
    repair = None
    if waves or snapshots:
        repair = Repair(
            run_id=run_id,
            number=ledger.repairs.last + 1,
            waves=waves,
            snapshots=tuple(sorted(damaged.intersection(counting))),
            withdrawn=tuple(sorted(_withdrawn(store, counting, snapshots))),
            reasons=tuple(d.text for d in defects if not d.orphan)[:REASONS_KEPT],
        )
    newest = latest(store) if repair is None else None
    orphans = any(defect.orphan for defect in defects)
    return Cure(
        repair=repair,
        below=sum(is_below(wave, waves) and wave not in waves for wave in ledger.waves()),
        snapshots=snapshots,
        orphans=orphans and newest is not None and newest.complete,
        beyond=tuple(d.text for d in defects if not (d.wave or d.snapshot or d.orphan)),
    )


def carry_out(store: Store, cure: Cure) -> None:
    """Make it so."""
    if cure.repair is not None:
        write_repair(store, cure.repair)
    newest = latest(store) if cure.orphans else None
    if newest is not None:
        sweep_orphans(store, newest)


def topmost(waves: Iterable[str]) -> tuple[str, ...]:
    """Those that are not below another one, in order."""
    found = set(waves)
    return tuple(sorted(wave for wave in found if not is_below(wave, found - {wave})))


def is_below(wave: str, tops: Iterable[str]) -> bool:
    """Whether a wave is one of these or grew from one."""
    return any(wave == top or wave.startswith(f"{top}.") for top in tops)


def _names(store: Store, number: int, waves: Sequence[str]) -> bool:
    """Whether a snapshot names such a wave."""
    try:
        snapshot = read_snapshot(store, number)
    except CorruptData:
        return False
    return any(is_below(entry.wave, waves) for entry in snapshot.manifests)


def _withdrawn(store: Store, counting: Sequence[int], retired: Sequence[int]) -> set[str]:
    """What is left out by hand in the newest snapshot that can be read, if it is retired, and in
    those after it, by the lists that were made for them."""
    found: set[str] = set()
    for number in reversed(counting):
        try:
            drops = drops_of(store, read_snapshot(store, number))
        except CorruptData:
            found |= withdrawn_for(store, number)
            continue
        return found | (set(withdrawn_ids(drops).to_pylist()) if number in retired else set())
    return found
