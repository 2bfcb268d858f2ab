import uuid
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.storage.drops import read_drops, write_drops
from pipeline.storage.ledger import Ledger
from pipeline.storage.open import open_store
from pipeline.storage.reader import read_kept
from pipeline.storage.snapshots import build_snapshot, seal_snapshot, sweep_orphans
from pipeline.storage.store import Store
from schemas.drop_list import DROP_SCHEMA
from schemas.errors import CorruptData
from schemas.manifest import Snapshot
from tests.stored import make_manifest, make_nodes, make_run_file, write_nodes

RUN_FILE = make_run_file()


def sealed(store: Store, trees: int = 4) -> Snapshot:
    """Two waves of kept and dropped rows."""
    manifests = []
    nodes = make_nodes(trees, 4)
    for number, half in enumerate((nodes[: len(nodes) // 2], nodes[len(nodes) // 2 :])):
        wave = f"{number:06d}"
        shards = write_nodes(store, half, wave=wave, run=RUN_FILE.run_id)
        manifest = make_manifest(wave, "a", shards=shards, run=RUN_FILE.run_id)
        manifests.append(Ledger(store).commit(manifest))
    snapshot = build_snapshot(RUN_FILE, manifests, number=1, complete=True)
    seal_snapshot(store, snapshot)
    return snapshot


@pytest.fixture
def run() -> tuple[Store, Snapshot]:
    """A sealed one, beside which drop lists are laid."""
    store = open_store(f"memory://{uuid.uuid4().hex}")
    return store, sealed(store)


def drop_table(rows: list[dict]) -> pa.Table:
    fixed = {"reason": "withdrawn", "round": 1}
    return pa.Table.from_pylist([{**row, **fixed} for row in rows], schema=DROP_SCHEMA)


def with_drops(store: Store, snapshot: Snapshot, rows: list[dict], attempt: str = "a") -> Snapshot:
    number = snapshot.number + 1
    entry = write_drops(
        store, drop_table(rows), run_id=snapshot.run_id, number=number, attempt=attempt
    )
    return snapshot.model_copy(update={"number": number, "drops": entry})


def kept(store: Store, snapshot: Snapshot) -> list[dict]:
    columns = ["node_id", "tree_id", "path"]
    return [row for table in read_kept(store, snapshot, columns) for row in table.to_pylist()]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
@given(st.data())
def test_read_kept_leaves_out_what_the_drop_list_names_and_nothing_else(run, data):
    store, snapshot = run
    rows = kept(store, snapshot)
    dropped = data.draw(st.lists(st.sampled_from(range(len(rows))), unique=True))
    listed = [rows[index] for index in sorted(dropped)]
    refined = with_drops(store, snapshot, listed, attempt=uuid.uuid4().hex)
    expected = [row for index, row in enumerate(rows) if index not in dropped]
    assert kept(store, refined) == expected
    assert kept(store, snapshot) == rows


def test_read_kept_columns_are_those_asked_for(tmp_path: Path):
    store = open_store(str(tmp_path))
    snapshot = sealed(store)
    refined = with_drops(store, snapshot, kept(store, snapshot)[:3])
    tables = list(read_kept(store, refined, ["text"]))
    assert [table.column_names for table in tables] == [["text"]] * len(tables)
    assert sum(table.num_rows for table in tables) == len(kept(store, snapshot)) - 3
    whole = next(iter(read_kept(store, refined)))
    assert whole.schema == next(iter(read_kept(store, snapshot))).schema


def test_drop_list_comes_back_as_written_and_equal_lists_are_equal_bytes(tmp_path: Path):
    store = open_store(str(tmp_path))
    snapshot = sealed(store)
    rows = kept(store, snapshot)[:3]
    first, second = (with_drops(store, snapshot, rows, attempt).drops for attempt in "ab")
    assert read_drops(store, first).equals(drop_table(rows))
    assert (first.sha256, first.name) != (second.sha256, second.name)
    assert first.sha256 == second.sha256


def test_read_kept_damaged_drop_list_is_an_error(tmp_path: Path):
    store = open_store(str(tmp_path))
    refined = with_drops(store, sealed(store), [])
    file = tmp_path / refined.drops.name
    file.chmod(0o644)
    file.write_bytes(file.read_bytes()[:-4])
    with pytest.raises(CorruptData, match=refined.drops.name):
        list(read_kept(store, refined))


def test_sweep_orphans_takes_lists_of_lost_refinements_only(tmp_path: Path):
    store = open_store(str(tmp_path))
    snapshot = sealed(store)
    lost = with_drops(store, snapshot, [], attempt="lost")
    won = with_drops(store, snapshot, [], attempt="won")
    seal_snapshot(store, won)
    next_one = with_drops(store, won, [], attempt="in-flight")
    assert sweep_orphans(store, won) == 1
    assert store.list("drops") == sorted([won.drops.name, next_one.drops.name])
    assert lost.drops.name not in store.list("drops")
    # A sweep by an older snapshot knows of the newer lists, too.
    assert sweep_orphans(store, snapshot) == 0
