"""Verify finds every defect that is planted in a sound run, and names the file or the node."""

from functools import partial
from pathlib import Path
from typing import Any

import pytest

from pipeline.engines.scripted_author import decode
from pipeline.storage.open import open_store
from pipeline.storage.reader import read_kept
from pipeline.storage.snapshots import latest
from pipeline.storage.store import Store
from schemas.manifest import ShardEntry
from tests.builders import defects_of, make_spec, run_scripted
from tests.tampering import (
    WAVE,
    Rows,
    entry_of,
    manifest_file,
    read_manifest,
    read_snapshot,
    recount,
    reseal,
    reseal_snapshot,
    rewrite,
    rows_in,
)


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sealed run of two cohorts, on disk."""
    folder = tmp_path_factory.mktemp("sound")
    store = open_store(str(folder))
    run_scripted(store, make_spec(fanouts=(8, 2), bounds=(1, 100)))
    assert defects_of(store) == []
    return folder


def found(store: Store, *parts: str) -> bool:
    """Whether one of the defects says all of this."""
    defects = defects_of(store)
    assert all(any(part in defect for defect in defects) for part in parts), defects
    return True


def any_shard(folder: Path, side: str = "nodes") -> Path:
    return min((folder / side).iterdir())


def test_sound_run_that_grew_deep_and_lost_much_has_no_defect():
    store = open_store("memory://test-verify-deep")
    run_scripted(store, make_spec(trees=4, bounds=(2, 12)))
    assert defects_of(store) == []


@pytest.mark.parametrize("side", ["nodes", "dropped"])
def test_flipped_byte_in_a_shard(store, folder, side):
    shard = any_shard(folder, side)
    payload = bytearray(shard.read_bytes())
    payload[len(payload) // 2] ^= 1
    shard.write_bytes(payload)
    assert found(store, f"{side}/{shard.name}: {len(payload)} bytes that are not")


@pytest.mark.parametrize("side", ["nodes", "dropped"])
def test_missing_shard(store, folder, side):
    shard = any_shard(folder, side)
    shard.unlink()
    assert found(store, f"{side}/{shard.name}: a manifest")


@pytest.mark.parametrize("side", ["nodes", "dropped"])
def test_foreign_file_beside_the_shards(store, folder, side):
    (folder / side / "stray.parquet").write_bytes(b"")
    assert found(store, f"{side}/stray.parquet: lies beside")


def test_removed_manifest(store, folder):
    manifest_file(folder).unlink()
    assert found(
        store,
        f"ledger/{WAVE}.json: named by snapshot 1, missing",
        f"ledger/{WAVE}.json: planned, not committed",
        f"ledger/{WAVE}.0.json: no wave of this plan",
    )


def test_edited_manifest(store, folder):
    file = manifest_file(folder)
    file.write_text(file.read_text().replace('"frontier": ', '"frontier": 1'))
    assert found(store, f"ledger/{WAVE}.json: its digest does not match")


def test_manifest_that_is_not_the_one_the_snapshot_names(store, folder):
    manifest = read_manifest(folder).model_copy(update={"started_at": 0.0})
    manifest_file(folder).write_bytes(manifest.to_bytes())
    assert found(store, f"ledger/{WAVE}.json: is not what snapshot 1 names")


def test_manifest_of_another_wave_or_run(store, folder):
    manifest_file(folder).write_bytes(manifest_file(folder, "000001").read_bytes())
    assert found(store, f"ledger/{WAVE}.json: holds the manifest of wave 000001")
    reseal(folder, "000001", run_id="another")
    assert found(store, "ledger/000001.json: names run another")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"kept": 99}, "counts kept 99"),
        ({"dropped": {"empty": 99}}, "dropped {'empty': 99}"),
        ({"asked": 99}, "asked 99 is not kept"),
        ({"output_tokens": 0}, "counts 0 output tokens"),
        ({"prompt_tokens": 0}, "counts 0 prompt tokens, its parents give"),
        ({"asides": {"judge": 1}}, "counts asides {'judge': 1}, its rows give {}"),
        ({"aside_tokens": 9}, "counts 9 tokens of asides, its rows hold 0"),
    ],
)
def test_wrong_count(store, folder, changes, said):
    recount(folder, **changes)
    assert found(store, f"ledger/{WAVE}.json: {'counts' if 'asked' not in changes else ''}", said)


def test_wrong_frontier(store, folder):
    frontier = read_manifest(folder).frontier
    reseal(folder, frontier=frontier + 1)
    assert found(store, f"ledger/{WAVE}.json: frontier is {frontier + 1}, its rows give {frontier}")


def test_manifest_beside_the_plan(store, folder):
    manifest = read_manifest(folder).model_copy(update={"wave": "000009", "shards": ()})
    manifest_file(folder, "000009").write_bytes(manifest.to_bytes())
    assert found(store, "ledger/000009.json: no wave of this plan")


def test_damaged_snapshot(store, folder):
    file = folder / "snapshots" / "00001.json"
    file.write_text(file.read_text().replace('"number": 1', '"number": 2'))
    assert found(store, "snapshots/00001.json: its digest does not match")


def test_snapshot_with_other_shards_than_its_manifests(store, folder):
    content = read_snapshot(folder)
    content["shards"].pop(0)
    reseal_snapshot(folder, content)
    assert found(store, "snapshot 1: its shards are not those of the manifests")


def test_snapshot_with_other_counts_than_its_manifests(store, folder):
    content = read_snapshot(folder)
    content["counts"]["prompt_tokens"] += 1
    reseal_snapshot(folder, content)
    assert found(store, "snapshot 1: counts", "the manifests it names add up to")


def test_two_files_of_one_table(store, folder):
    shards = read_manifest(folder).shards
    reseal(folder, shards=(*shards, entry_of(folder, "nodes")))
    assert found(store, f"ledger/{WAVE}.json: names", "expected at most one file of each of")


def set_column(column: str, value: Any, rows: Rows, *, row: int = -1) -> None:
    rows[row][column] = value


@pytest.mark.parametrize(
    ("column", "value", "said"),
    [
        ("prompt_hash", "0" * 32, "its prompt_hash is not that of"),
        ("parent_id", "0" * 32, "its parent is 0000"),
        ("node_id", "0" * 32, "node 0000"),
        ("text", "Something else.", "its text is not the decoding"),
        ("role", "assistant", "role assistant at level 1"),
        ("reasoning_tokens", 1, ""),
        ("drop_reason", "empty", "kept and dropped rows are in one file"),
        ("path", [0], "a doubled or foreign row"),
    ],
)
def test_changed_row_in_a_shard_with_a_matching_checksum(store, folder, column, value, said):
    wave = f"{WAVE}.0" if column == "reasoning_tokens" else WAVE
    rewrite(store, folder, partial(set_column, column, value), wave)
    assert found(store, said or "reasoning tokens, its ids give 0")


def test_changed_ids_break_the_prompts_below(store, folder):
    other = [ord(letter) for letter in "Other."]

    def change(rows: Rows) -> None:
        rows[-1] |= {"token_ids": other, "num_tokens": len(other), "text": decode(other)}

    rewrite(store, folder, change)
    assert found(store, "its prompt_hash is not that of", "output tokens, its rows hold")


def test_changed_root(store, folder):
    rewrite(store, folder, partial(set_column, "text", "On war.", row=0))
    assert found(store, "is not the root of tree 0")


def test_root_with_a_verdict(store, folder):
    rewrite(store, folder, partial(set_column, "mmr_rank", 0, row=0))
    assert found(store, "is not the root of tree 0")


def test_verdict_that_the_rows_do_not_give(store, folder):
    def change(rows: Rows) -> None:
        rows[0]["drop_reason"] = "surplus" if rows[0]["drop_reason"] != "surplus" else "empty"
        rows[0]["keeper_id"] = None

    rewrite(store, folder, change, table="dropped")
    row = rows_in(store, folder, "dropped")[0]
    assert found(store, f"node {row['node_id']}: its verdict is {row['drop_reason']}")


def test_lost_row(store, folder):
    rewrite(store, folder, lambda rows: rows.pop())
    assert found(store, f"wave {WAVE}: no row for tree 0", f"ledger/{WAVE}.json: counts kept")


def test_rows_out_of_order(store, folder):
    name = rewrite(store, folder, lambda rows: rows.reverse())
    assert found(store, f"{name}: its rows are not in the order")


def test_keeper_that_was_not_kept(store, folder):
    def change(rows: Rows) -> None:
        rows[-1]["keeper_id"] = "0" * 32

    rewrite(store, folder, change)
    assert found(store, "its keeper 0000")


def test_snapshot_is_read_as_it_was_sealed(store):
    snapshot = latest(store)
    assert snapshot is not None
    assert all(isinstance(entry, ShardEntry) for entry in snapshot.shards)
    kept = sum(table.num_rows for table in read_kept(store, snapshot))
    assert kept == snapshot.counts.kept + 2
