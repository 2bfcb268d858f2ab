"""Verify finds roots that are missing, doubled, foreign, out of order, or spelled otherwise."""

from collections import Counter
from pathlib import Path

import pytest

from jobs.wiring import open_run_value
from pipeline.storage.ledger import Ledger
from pipeline.storage.open import open_store
from pipeline.storage.runs import open_run
from pipeline.storage.store import Store
from pipeline.verify.verify import verify
from tests.builders import defects_of, make_levels, make_spec, run_scripted
from tests.tampering import (
    WAVE,
    Rows,
    change_row,
    entry_of,
    only_defect,
    read_manifest,
    remove_shard,
    reseal,
    rewrite,
)


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sealed run of two cohorts of two trees, on disk."""
    folder = tmp_path_factory.mktemp("sound")
    store = open_store(str(folder))
    run_scripted(store, make_spec(fanouts=(8, 2), trees=4, bounds=(2, 100)))
    assert defects_of(store) == []
    return folder


def told(store: Store, *parts: str) -> bool:
    """Whether one of the defects says all of this."""
    defects = defects_of(store)
    assert any(all(part in defect for part in parts) for defect in defects), defects
    return True


def test_missing_root_whose_rows_are_gone_too(store, folder):
    """The rows alone look as if the tree had never been planned."""
    for table in ("roots", "nodes", "dropped"):
        rewrite(store, folder, lose_first_tree, WAVE, table)
    for table in ("nodes", "dropped"):
        rewrite(store, folder, lose_first_tree, f"{WAVE}.0", table)
    assert told(store, f"wave {WAVE}: 0 roots of tree 0 are stored with it, expected 1.")


def lose_first_tree(rows: Rows) -> None:
    rows[:] = [row for row in rows if row["tree_id"]]


def test_doubled_root(store, folder):
    rewrite(store, folder, lambda rows: rows.insert(0, rows[0]), WAVE, "roots")
    assert told(store, f"wave {WAVE}: 2 roots of tree 0 are stored with it, expected 1.")


def test_foreign_root(store, folder):
    rewrite(store, folder, lambda rows: rows.append(rows[0] | {"tree_id": 7}), WAVE, "roots")
    assert told(store, f"wave {WAVE}: 1 roots of tree 7 are stored with it, expected 0.")


def test_roots_of_another_cohort(store, folder):
    rewrite(
        store,
        folder,
        lambda rows: [r.update(tree_id=r["tree_id"] + 2) for r in rows],
        WAVE,
        "roots",
    )
    assert told(store, f"wave {WAVE}: 0 roots of tree 1 are stored with it, expected 1.")
    assert told(store, f"wave {WAVE}: 1 roots of tree 3 are stored with it, expected 0.")


def test_roots_out_of_order(store, folder):
    rewrite(store, folder, lambda rows: rows.reverse(), WAVE, "roots")
    assert only_defect(store, f"wave {WAVE}: the roots stored with it are not in the order of")


def test_lost_table_of_roots(store, folder):
    remove_shard(folder, "roots")
    assert told(store, f"wave {WAVE}: 0 roots of tree 0 are stored with it, expected 1.")


def test_roots_beside_a_wave_below(store, folder):
    below = f"{WAVE}.0"
    shards = (*read_manifest(folder, below).shards, entry_of(folder, "roots"))
    reseal(folder, below, shards=shards)
    assert told(store, f"wave {below}: 1 roots of tree 0 are stored with it, expected 0.")


def test_root_without_an_opening_is_a_defect_and_no_crash(store, folder):
    row = change_row(store, folder, lambda row: row.update(openings=[]), table="roots")
    said = f"the root of tree {row['tree_id']} has no opening in tongue 0"
    assert told(store, f"wave {WAVE}: {said}")


def test_opening_that_is_never_asked(store, folder):
    def change(row: dict) -> None:
        row["openings"].append(row["openings"][0] | {"level": 3})

    change_row(store, folder, change, table="roots")
    assert only_defect(store, "the root of tree 1: has an opening for level 3 in tongue 0")


def test_messages_that_do_not_give_the_opening(store, folder):
    """All that follows from the ids still fits; only what readers see is another text."""
    say_otherwise(store, folder)
    said = "the root of tree 1: its opening in tongue 0 is not what its messages give."
    assert only_defect(store, said)
    assert list(verify(open_run_value(open_run(store)), Ledger(store))) == []


def say_otherwise(store: Store, folder: Path) -> None:
    def change(row: dict) -> None:
        row["messages"][-1]["content"] = "On war."

    change_row(store, folder, change, table="roots")
    change_row(
        store, folder, lambda row: row.update(text="On war."), which=lambda row: not row["path"]
    )


def test_messages_that_cannot_be_said(store, folder):
    def change(row: dict) -> None:
        row["messages"].append({"role": "assistant", "content": "Well."})

    change_row(store, folder, change, table="roots")
    assert told(store, "the root of tree 1: what it is made of cannot be said: found messages of")


@pytest.fixture
def distilled(tmp_path) -> Store:
    """A run whose references may stand in, asked with the reference shown."""
    file = tmp_path / "rows.jsonl"
    file.write_text('{"text": "What is 1?", "reference": "One."}\n' * 2)
    answer = make_levels(1, 1, oversample=1.0)[1]
    generation = {
        "recipe": "self-distill",
        "roots": {"data": {}},
        "levels": [answer],
        "turns": {},
    }
    store = open_store(str(tmp_path / "run"))
    run_scripted(store, make_spec(generation=generation, roots=str(file), bounds=(2, 100)))
    assert defects_of(store) == []
    return store


def test_reference_whose_ids_are_of_another_text(distilled, tmp_path):
    def change(row: dict) -> None:
        row["reference_ids"] = row["reference_ids"][:-1]

    change_row(distilled, tmp_path / "run", change, table="roots")
    assert told(distilled, "the root of tree 1: the ids of its reference are not what its text")


def test_opening_of_a_single_level_is_taken_as_stored_and_counted(distilled):
    unproven: Counter[str] = Counter()
    list(verify(open_run_value(open_run(distilled)), Ledger(distilled), unproven=unproven))
    assert unproven["level_openings"] == 2 == unproven["openings"]
