from functools import partial
from pathlib import Path

import pytest

from pipeline.storage.file_store import FileStore
from pipeline.storage.ledger import Ledger
from pipeline.storage.reader import read_dropped, read_kept
from pipeline.storage.snapshots import build_snapshot, latest, seal_snapshot, sweep_orphans
from schemas.errors import AlreadyExists, CorruptData, StoreError
from schemas.fingerprint import digest
from schemas.manifest import Counts, Manifest, Snapshot
from tests.faulty_store import FaultyStore
from tests.stored import SOFTWARE, make_manifest, make_nodes, make_run_file, write_nodes

RUN_FILE = make_run_file()
WAVES = ["000000", "000001", "000000.0", "000000.10", "000000.2"]
"""In an order that is not that of their names."""

manifest_of_run = partial(make_manifest, run=RUN_FILE.run_id)


@pytest.fixture
def store(tmp_path: Path) -> FileStore:
    return FileStore(tmp_path)


def commit_waves(store: FileStore) -> list[Manifest]:
    """Waves of growing size, each tree telling which wave it is of."""
    manifests = []
    for number, wave in enumerate(WAVES):
        nodes = make_nodes(number + 1, 4)
        shards = write_nodes(store, nodes, wave=wave, attempt=f"a{number}", run=RUN_FILE.run_id)
        manifests.append(Ledger(store).commit(manifest_of_run(wave, f"a{number}", shards=shards)))
    return manifests


def snapshot_of(manifests: list[Manifest], *, number: int = 1, complete: bool = True) -> Snapshot:
    return build_snapshot(RUN_FILE, manifests, number=number, complete=complete)


def test_build_snapshot_adds_counts_up_and_lists_software_once() -> None:
    other = SOFTWARE.model_copy(update={"backend_version": "2"})
    big = Counts(asked=9, kept=4, dropped={"empty": 3, "duplicate": 2}, output_tokens=70)
    manifests = [
        manifest_of_run("000000", software=(SOFTWARE,)),
        manifest_of_run("000001", counts=big, software=(other, SOFTWARE)),
    ]
    snapshot = snapshot_of(manifests)
    assert snapshot.counts == Counts(
        asked=13, kept=7, dropped={"duplicate": 3, "empty": 3}, output_tokens=70
    )
    assert snapshot.software == (SOFTWARE, other)
    assert [entry.wave for entry in snapshot.manifests] == ["000000", "000001"]


def test_build_snapshot_names_the_bytes_of_each_manifest(store: FileStore) -> None:
    for entry in snapshot_of(commit_waves(store)).manifests:
        assert digest(store.read(f"ledger/{entry.wave}.json")) == entry.digest


def test_build_snapshot_from_the_ledger_gives_equal_bytes(store: FileStore) -> None:
    committed = commit_waves(store)
    again = Ledger(store).all()
    rebuilt = snapshot_of([again[wave] for wave in WAVES])
    assert rebuilt.to_bytes() == snapshot_of(committed).to_bytes()


def test_build_snapshot_refuses_manifests_of_another_run() -> None:
    with pytest.raises(CorruptData, match="belongs to run another"):
        snapshot_of([make_manifest(run="another")])


def test_seal_snapshot_is_idempotent_and_latest_finds_it(store: FileStore) -> None:
    assert latest(store) is None
    snapshot = snapshot_of(commit_waves(store))
    seal_snapshot(store, snapshot)
    seal_snapshot(store, snapshot)
    assert latest(store) == snapshot
    assert store.list("snapshots") == ["snapshots/00001.json"]


@pytest.mark.parametrize("mode", ["before", "after"])
def test_seal_snapshot_survives_one_failed_create(store: FileStore, mode: str) -> None:
    snapshot = snapshot_of(commit_waves(store))
    seal_snapshot(FaultyStore(store, 1, mode), snapshot)
    assert latest(store) == snapshot


def test_seal_snapshot_never_replaces_another_one(store: FileStore) -> None:
    manifests = commit_waves(store)
    partial_one = snapshot_of(manifests[:1], complete=False)
    seal_snapshot(store, partial_one)
    with pytest.raises(AlreadyExists, match="next number"):
        seal_snapshot(store, snapshot_of(manifests))
    assert latest(store) == partial_one


def test_latest_is_the_highest_number(store: FileStore) -> None:
    manifests = commit_waves(store)
    for number in (2, 10, 9, 100_000):
        seal_snapshot(store, snapshot_of(manifests, number=number))
    found = latest(store)
    assert found is not None
    assert found.number == 100_000


def test_sweep_orphans_deletes_what_no_manifest_names_and_nothing_else(store: FileStore) -> None:
    snapshot = snapshot_of(commit_waves(store))
    before = store.list("")
    store.create("nodes/000000-dead.parquet", b"half a run ago")
    store.create("dropped/000000-dead.parquet", b"half a run ago")
    assert sweep_orphans(store, snapshot) == 2
    assert store.list("") == before
    assert sweep_orphans(store, snapshot) == 0


def test_sweep_orphans_is_refused_on_a_partial_snapshot(store: FileStore) -> None:
    manifests = commit_waves(store)
    before = store.list("")
    with pytest.raises(StoreError, match="partial"):
        sweep_orphans(store, snapshot_of(manifests[:2], complete=False))
    assert store.list("") == before


def test_sweep_orphans_is_refused_when_the_ledger_holds_other_waves(store: FileStore) -> None:
    manifests = commit_waves(store)
    before = store.list("")
    with pytest.raises(CorruptData, match=r"000000\.2"):
        sweep_orphans(store, snapshot_of(manifests[:-1]))
    assert store.list("") == before


def test_readers_follow_the_snapshot_in_its_order(store: FileStore) -> None:
    snapshot = snapshot_of(commit_waves(store))
    store.create("nodes/000000-dead.parquet", b"an orphan")
    kept = [table.num_rows for table in read_kept(store, snapshot)]
    dropped = [table.num_rows for table in read_dropped(store, snapshot)]
    assert kept == [3 * trees for trees in range(1, len(WAVES) + 1)]
    assert dropped == list(range(1, len(WAVES) + 1))


def test_readers_give_the_columns_asked_for_and_the_right_side(store: FileStore) -> None:
    snapshot = snapshot_of(commit_waves(store))
    for table in read_kept(store, snapshot, ["drop_reason"]):
        assert set(table.column("drop_reason").to_pylist()) == {None}
    for table in read_dropped(store, snapshot, ["drop_reason"]):
        assert set(table.column("drop_reason").to_pylist()) == {"duplicate"}


def test_readers_stop_at_a_damaged_shard(store: FileStore) -> None:
    snapshot = snapshot_of(commit_waves(store))
    victim = snapshot.shards[4].name
    store.delete(victim)
    with pytest.raises(CorruptData, match=victim.split("/")[1]):
        list(read_kept(store, snapshot))


def test_readers_may_be_left_early(store: FileStore) -> None:
    tables = read_kept(store, snapshot_of(commit_waves(store)))
    assert next(tables).num_rows == 3
    tables.close()
