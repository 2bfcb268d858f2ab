"""Run a schedule and prove that it cost no row: every promise is checked, whatever failed."""

import faulthandler
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from pipeline.storage.ledger import Ledger
from pipeline.storage.open import open_store
from pipeline.storage.shards import WAVE_TABLES
from pipeline.storage.snapshots import latest
from pipeline.storage.store import Store
from schemas.errors import (
    ArboristError,
    CorruptData,
    EngineError,
    Interrupted,
    LocationError,
    PoolError,
    StoreError,
    UserError,
)
from tests.builders import committed_bytes, defects_of, memory_store, rows_of
from tests.chaos.attempts import Score, Try, opened_in_vain, run_beside, spec_of
from tests.chaos.schedule import STOPS, Schedule
from tests.chaos.shapes import Shape, shape_of
from tests.chaos.troubles import Ground
from tests.faulty_store import Killed

PATIENCE_S = 120.0
"""Within which all attempts of a turn end."""


class Broken(AssertionError):
    """A promise that was not kept."""


def prove(schedule: Schedule, score: Score | None = None) -> None:
    """Run a schedule to its end, or raise `Broken`."""
    folder = Path(tempfile.mkdtemp(prefix="chaos-")) if schedule.place == "file" else None
    store = open_store(str(folder / "run")) if folder else memory_store()
    try:
        prove_on(schedule, store, score or Score())
    except (AssertionError, ArboristError) as error:
        raise Broken(f"{schedule}\n{error}") from error
    finally:
        if folder:
            shutil.rmtree(folder)
        else:
            _forget(store)


def _forget(store: Store) -> None:
    for name in store.list(""):
        store.delete(name)


def prove_on(schedule: Schedule, store: Store, score: Score) -> None:
    """The same at an empty store."""
    shape, ground = shape_of(schedule.shape, seeded=schedule.seeded), Ground(store)
    spec, number = spec_of(shape, schedule), 0
    for turn, drivers in enumerate(schedule.drivers):
        tries = []
        for driver in range(drivers):
            tries.append(Try(f"a{number}", number, schedule.of(turn, driver)))
            number += 1
        if turn % 2:
            ground.land()
        kept = committed_bytes(store)
        _end(tries, run_beside(tries, shape, spec, ground, PATIENCE_S))
        _check_turn(tries, ground, store, kept)
        for one in tries:
            score.book(one, opened_in_vain(one, store))
    ground.land()
    last = Try("last", number)
    _end([last], run_beside([last], shape, spec, ground, PATIENCE_S))
    if last.error:
        raise Broken(f"the healthy attempt at the end raised {last.error!r}") from last.error
    _check_end(shape, store, score)
    score.book(last, opened_in_vain(last, store))
    score.schedules += 1


def _end(tries: Sequence[Try], hanging: Sequence[str]) -> None:
    if hanging:
        faulthandler.dump_traceback(sys.__stderr__, all_threads=True)
        raise Broken(f"attempts {hanging} did not end within {PATIENCE_S:g} s; stacks are above")
    for one in tries:
        if one.error and not any(_befits(one)):
            raise Broken(f"attempt {one.name} ended with {one.error!r}") from one.error


def _befits(one: Try) -> Iterator[bool]:
    """Whether an attempt ended as it may after what happened to it."""
    error, kinds = one.error, {fault.kind for fault in one.fired}
    where = {fault.where for fault in one.fired}
    yield isinstance(error, Killed) and any(kind.startswith("killed") for kind in kinds)
    yield isinstance(error, StoreError) and "store" in where
    yield isinstance(error, LocationError) and isinstance(error.__cause__, StoreError)
    yield isinstance(error, Interrupted) and not kinds.isdisjoint(STOPS)
    yield isinstance(error, EngineError | PoolError) and "engine" in where
    yield isinstance(error, PoolError) and "raised while measuring" in kinds
    # What was committed is found missing where a listing does not show it.
    unseen = bool(kinds & {"stale listing", "frozen listings"})
    yield isinstance(error, UserError | CorruptData | StoreError) and unseen


def _check_turn(tries: Sequence[Try], ground: Ground, store: Store, kept: dict[str, bytes]) -> None:
    """What was committed stays as it was, and every wave of it is there with its shards."""
    if ground.wrongs:
        raise Broken("; ".join(ground.wrongs))
    now = committed_bytes(store)
    changed = [name for name, payload in kept.items() if now.get(name) != payload]
    if changed:
        raise Broken(f"changed or gone since the turn before: {changed}")
    if (newest := latest(store)) is not None:
        manifests = Ledger(store).all()
        missing = [entry.wave for entry in newest.manifests if entry.wave not in manifests]
        if missing:
            raise Broken(f"snapshot {newest.number} names waves that are not there: {missing}")
    sealed = [one.snapshot for one in tries if one.snapshot]
    if any(snapshot.complete for snapshot in sealed) and not (newest and newest.complete):
        raise Broken("an attempt sealed the run as complete, and its latest snapshot is not")


def _check_end(shape: Shape, store: Store, score: Score) -> None:
    snapshot, found = latest(store), rows_of(store)
    assert snapshot is not None
    expected = found if shape.rows is None else shape.rows
    score.lost += (lost := (_ids(expected) - _ids(found)).total())
    score.doubled += (doubled := (_ids(found) - Counter(set(_ids(found)))).total())
    if lost or doubled:
        raise Broken(f"{lost} rows are lost, {doubled} are doubled")
    wanted = {row["node_id"]: row for row in expected}
    others = [row for row in found if row != wanted.get(row["node_id"])]
    if others:
        raise Broken(f"{len(others)} rows are not those of the healthy run, first: {others[0]}")
    if defects := defects_of(store):
        raise Broken(f"verify finds {defects[:5]}")
    named = {entry.name for entry in snapshot.shards}
    beside = {name for folder in WAVE_TABLES for name in store.list(folder)} - named
    if beside:
        raise Broken(f"orphans lie beside a complete snapshot: {sorted(beside)}")
    backward = [m.wave for m in Ledger(store).all().values() if m.finished_at < m.started_at]
    if backward:
        raise Broken(f"waves that ended before they began: {backward}")


def _ids(rows: Sequence[dict[str, Any]]) -> Counter[str]:
    return Counter(row["node_id"] for row in rows)
