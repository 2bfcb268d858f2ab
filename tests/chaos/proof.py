"""Run a schedule and prove that it cost no row: every promise is checked, whatever failed."""

import faulthandler
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from pipeline.refine.loop import Asked
from pipeline.storage.drops import drops_of
from pipeline.storage.ledger import Ledger
from pipeline.storage.open import open_store
from pipeline.storage.reader import read_kept
from pipeline.storage.shards import WAVE_TABLES
from pipeline.storage.snapshots import check_withdrawn, latest
from pipeline.storage.store import Store
from schemas.errors import ArboristError, NotFound, UserError
from schemas.execution_spec import RunSpec
from schemas.fingerprint import digest
from schemas.manifest import Manifest, Snapshot
from schemas.refine_spec import RefineSpec
from tests.builders import defects_of, memory_store, rows_of
from tests.chaos.attempts import Actor, Score, Try, opened_in_vain, run_beside, spec_of
from tests.chaos.permitted import is_permitted
from tests.chaos.schedule import DAMAGE, Act, Schedule
from tests.chaos.shapes import Shape, shape_of
from tests.chaos.troubles import Ground, is_current
from tests.chaos.visits import Visit, defects_in, has_run, refine_latest, repair

Files = dict[str, bytes]

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
    place = Place(shape, spec, ground, store, score)
    for turn, drivers in enumerate(schedule.drivers):
        tries = []
        for driver in range(drivers):
            tries.append(Try(f"a{number}", number, schedule.of(turn, driver)))
            number += 1
        if turn % 2:
            ground.land()
        place.visit(schedule.act(turn, beside=False))
        place.take_turn(tries, schedule.act(turn, beside=True))
    ground.land()
    place.visit(schedule.act(len(schedule.drivers), beside=False))
    last = Try("last", number)
    place.take_turn([last])
    if last.error:
        raise Broken(f"the healthy attempt at the end raised {last.error!r}") from last.error
    place.check_end()
    score.schedules += 1


class Place:
    """A run under a schedule, and what it was before."""

    def __init__(
        self, shape: Shape, spec: RunSpec, ground: Ground, store: Store, score: Score
    ) -> None:
        self._shape, self._spec, self._score = shape, spec, score
        self._ground, self._store = ground, store
        self._withdrawn: set[str] = set()

    def take_turn(self, tries: Sequence[Try], act: Act | None = None) -> None:
        """Attempts beside each other, and perhaps beside a visit."""
        visits = [Visit(act, tries)] if act else []
        for one in tries:
            one.beside = act.kind if act else ""
        kept = committed(self._store)
        self._run([*tries, *visits])
        for one in tries:
            if one.error and not is_permitted(one):
                raise Broken(f"attempt {one.name} ended with {one.error!r}") from one.error
        self._book(visits)
        if any(visit.damages for visit in visits) and has_run(self._store):
            # The repair may have looked before the damage was done, or before others built on it.
            repair(self._ground)
        self._check(tries, kept, repaired=bool(act and act.kind in DAMAGE))
        for one in tries:
            self._score.book(one, opened_in_vain(one, self._store))

    def visit(self, act: Act | None) -> None:
        """With nobody beside."""
        if act is None:
            return
        kept, visits = committed(self._store), [Visit(act)]
        self._run(visits)
        self._book(visits)
        self._check((), kept, repaired=act.kind in DAMAGE)

    def _run(self, actors: Sequence[Actor]) -> None:
        hanging = run_beside(actors, self._shape, self._spec, self._ground, PATIENCE_S)
        if hanging:
            faulthandler.dump_traceback(sys.__stderr__, all_threads=True)
            raise Broken(f"{hanging} did not end within {PATIENCE_S:g} s; stacks are above")

    def _book(self, visits: Sequence[Visit]) -> None:
        for visit in visits:
            if visit.error and not visit.is_permitted():
                raise Broken(f"{visit.name} ended with {visit.error!r}") from visit.error
            self._score.acts += Counter([visit.did] if visit.did else [])
            self._withdrawn.update(visit.withdrawn)
            if visit.did == "snapshot gone":
                # Nothing else names the newest snapshot, so nobody knows what it left out.
                self._withdrawn.clear()

    def _check(
        self, tries: Sequence[Try], kept: Mapping[str, Files], *, repaired: bool = False
    ) -> None:
        """What was committed stays as it was, and every wave of it is there with its shards."""
        if self._ground.wrongs:
            raise Broken("; ".join(self._ground.wrongs))
        if changed := list(self._changed(kept)):
            raise Broken(f"changed or gone since the turn before: {changed}")
        newest, manifests = latest(self._store), Ledger(self._store).all()
        self._check_named(newest, manifests)
        sealed = [one.snapshot for one in tries if one.snapshot and one.beside not in DAMAGE]
        if any(snapshot.complete for snapshot in sealed) and not (newest and newest.complete):
            raise Broken("an attempt sealed the run as complete, and its latest snapshot is not")
        if repaired and has_run(self._store) and (defects := defects_in(Ledger(self._store))):
            raise Broken(f"after the repair verify finds {[d.text for d in defects[:5]]}")

    def _changed(self, kept: Mapping[str, Files]) -> Iterator[str]:
        """Of what still counts, and was not damaged itself."""
        harmed = self._ground.harmed
        for manifest, files in kept.items():
            if manifest not in harmed and is_current(self._store, manifest):
                for name, payload in files.items():
                    if name not in harmed and _read(self._store, name) != payload:
                        yield name

    def _check_named(self, newest: Snapshot | None, manifests: Mapping[str, Manifest]) -> None:
        """No manifest that counts names a shard that is not there, and no snapshot a manifest."""
        there = {name for folder in WAVE_TABLES for name in self._store.list(folder)}
        named = {entry.name for manifest in manifests.values() for entry in manifest.shards}
        if named - there:
            raise Broken(f"named by manifests and not there: {sorted(named - there)}")
        if newest is None:
            return
        digests = {wave: digest(manifest.to_bytes()) for wave, manifest in manifests.items()}
        missing = [e.wave for e in newest.manifests if digests.get(e.wave) != e.digest]
        if missing:
            raise Broken(f"snapshot {newest.number} names waves that are not there: {missing}")

    def check_end(self) -> None:
        """The rows are those of the healthy run, but for those that were refined away."""
        self._check_withdrawn()
        store, score = self._store, self._score
        snapshot, found = latest(store), rows_of(store)
        assert snapshot is not None
        fallen = set(drops_of(store, snapshot).column("node_id").to_pylist())
        whole = found if self._shape.rows is None else self._shape.rows
        expected = [row for row in whole if row["node_id"] not in fallen]
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

    def _check_withdrawn(self) -> None:
        """What was withdrawn is out, or nobody may use the run before it is refined again."""
        newest = latest(self._store)
        assert newest is not None
        try:
            check_withdrawn(self._store, newest)
        except UserError:
            refine_latest(self._ground, Asked(RefineSpec(duplicates="keep")), "again")
        kept = {id for table in self._kept_ids() for id in table.column("node_id").to_pylist()}
        if back := kept & self._withdrawn:
            raise Broken(f"were withdrawn and are kept rows again: {sorted(back)}")

    def _kept_ids(self) -> Iterator[pa.Table]:
        newest = latest(self._store)
        assert newest is not None
        return read_kept(self._store, newest, ["node_id"])


def committed(store: Store) -> dict[str, Files]:
    """What each manifest that counts names, and itself."""
    ledger, found = Ledger(store), {}
    for wave, manifest in ledger.all().items():
        names = [ledger.name_of(wave), *(entry.name for entry in manifest.shards)]
        found[names[0]] = {name: store.read(name) for name in names}
    return found


def _read(store: Store, name: str) -> bytes | None:
    try:
        return store.read(name)
    except NotFound:
        return None


def _ids(rows: Sequence[dict[str, Any]]) -> Counter[str]:
    return Counter(row["node_id"] for row in rows)
