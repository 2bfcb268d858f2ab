"""Verify knows what a second pass leaves behind: critiques, drafts, rewrites in vain, scores."""

from collections import Counter
from pathlib import Path

import pytest

from pipeline.storage.open import open_store
from pipeline.storage.store import Store
from tests.builders import defects_of, make_levels, make_spec, run_scripted
from tests.tampering import WAVE, Rows, change_row, only_defect, recount, rewrite, rows_in

ANSWERS = f"{WAVE}.0"
"""The wave of the answers to the openings of `WAVE`."""
CRITIQUE = {"critique": "What is wrong with it?", "rewrite": "Write it again.", "engine": "critic"}
JUDGE = {"filter": "judge", "roles": ["assistant"], "min_score": 2}


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sealed run whose answers are criticised, written again (often in vain), and judged."""
    question, answer = make_levels(12, 3)
    spec = make_spec(
        bounds=(1, 200),
        scripted={"mean_tokens": 20},
        generation={
            "levels": [question, {**answer, "critique": CRITIQUE}],
            "turns": {},
            "curation": {"filters": ["empty", JUDGE]},
        },
        engines={
            "main": {"backend": "scripted", "scripted": {"mean_tokens": 20}},
            "critic": {
                "backend": "scripted",
                "scripted": {"mean_tokens": 20, "fail_share": 0.2, "empty_share": 0.2},
            },
        },
    )
    folder = tmp_path_factory.mktemp("sound")
    store = open_store(str(folder))
    run_scripted(store, spec)
    return folder


def asides(store: Store, folder: Path, kind: str) -> Rows:
    return [row for row in rows_in(store, folder, "asides", ANSWERS) if row["kind"] == kind]


def recount_asides(store: Store, folder: Path) -> None:
    """Make the manifest's counts fit what is said in the asides now."""
    rows = rows_in(store, folder, "asides", ANSWERS)
    kinds = Counter(row["kind"] + " failed" * bool(row["drop_reason"]) for row in rows)
    tokens = sum(row["num_tokens"] for row in rows)
    recount(folder, ANSWERS, asides=dict(sorted(kinds.items())), aside_tokens=tokens)


def test_second_pass_in_vain_and_a_judge_have_no_defect(store, folder):
    in_vain = asides(store, folder, "rewrite")
    assert {row["drop_reason"] for row in in_vain} == {None, "failed:engine"}
    judged = {row["parent_id"] for row in asides(store, folder, "judge")}
    assert judged & {row["parent_id"] for row in in_vain}
    assert asides(store, folder, "draft")
    assert any(row["drop_reason"] for row in asides(store, folder, "critique"))
    assert defects_of(store) == []


@pytest.mark.parametrize("kind", ["critique", "rewrite", "draft"])
@pytest.mark.parametrize("times", [0, 2])
def test_lost_or_doubled_aside(store, folder, kind, times):
    row = asides(store, folder, kind)[0]

    def change(rows: Rows) -> None:
        place = next(i for i, r in enumerate(rows) if r["node_id"] == row["node_id"])
        rows[place : place + 1] = [row] * times

    rewrite(store, folder, change, ANSWERS, "asides")
    recount_asides(store, folder)
    assert any(f"node {row['parent_id']}: " in defect for defect in defects_of(store))


@pytest.mark.parametrize("kind", ["critique", "rewrite"])
@pytest.mark.parametrize(
    ("column", "value", "said"),
    [
        ("prompt_hash", "0" * 32, "its prompt_hash is not that of"),
        ("node_id", "0" * 32, "its id does not follow from its place"),
        ("mmr_rank", 0, "it can only have failed"),
        ("parent_id", "0" * 32, "is about no sampled turn"),
    ],
)
def test_changed_aside(store, folder, kind, column, value, said):
    change_row(
        store,
        folder,
        lambda row: row.update({column: value}),
        wave=ANSWERS,
        table="asides",
        which=lambda row: row["kind"] == kind,
    )
    assert any(said in defect for defect in defects_of(store))


def test_draft_with_a_verdict(store, folder):
    row = change_row(
        store,
        folder,
        lambda row: row.update(mmr_rank=0),
        wave=ANSWERS,
        table="asides",
        which=lambda row: row["kind"] == "draft",
    )
    assert only_defect(store, f"draft {row['node_id']}: its verdict is kept, rank 0")


def test_turn_that_was_written_again_from_another_prompt(store, folder):
    row = change_row(
        store,
        folder,
        lambda row: row.update(prompt_hash="0" * 32),
        wave=ANSWERS,
        which=lambda row: row["origin"] == "rewritten",
    )
    assert only_defect(store, f"node {row['node_id']}: its prompt_hash is not that of the request")


def test_critique_that_would_have_led_to_another_rewrite(store, folder):
    other = {"text": "All.", "token_ids": [*b"All."], "num_tokens": 4}
    row = change_row(
        store,
        folder,
        lambda row: row.update(other),
        wave=ANSWERS,
        table="asides",
        which=lambda row: row["kind"] == "critique" and row["drop_reason"] is None,
    )
    recount_asides(store, folder)
    assert any(
        row["parent_id"] in defect or ("rewrite " in defect and "its prompt_hash" in defect)
        for defect in defects_of(store)
    )
