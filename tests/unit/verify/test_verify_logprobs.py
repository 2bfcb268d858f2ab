"""Verify finds most likely tokens that are missing, not of their turn, or no distribution."""

from pathlib import Path

import pytest

from pipeline.storage.open import open_store
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
    rows_in,
)

ANSWERS = f"{WAVE}.0"
CRITIQUE = {"critique": "What is wrong with it?", "rewrite": "Write it again."}
TOP = 3


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sealed run with the three most likely tokens at each position, drafts among them."""
    question, answer = make_levels(6, 2)
    generation = {
        "levels": [question, {**answer, "critique": CRITIQUE}],
        "turns": {},
        "logprobs": "tokens",
        "top_logprobs": TOP,
        "curation": {"filters": ["empty"]},
    }
    folder = tmp_path_factory.mktemp("sound")
    store = open_store(str(folder))
    odd = {"mean_tokens": 20, "empty_share": 0.2, "fail_share": 0.1, "truncate_share": 0.1}
    run_scripted(store, make_spec(bounds=(1, 100), scripted=odd, generation=generation))
    return folder


def test_sound_run_with_drafts_and_rewrites_in_vain_has_no_defect(store, folder):
    ids = [row["node_id"] for row in rows_in(store, folder, "logprobs", ANSWERS)]
    asides = rows_in(store, folder, "asides", ANSWERS)
    beside = {row["kind"]: row["node_id"] in ids for row in asides if not row["drop_reason"]}
    assert beside == {"critique": False, "draft": True, "rewrite": True}
    assert defects_of(store) == []


def first_of(rows: Rows) -> None:
    rows.append(rows.pop(0))


@pytest.mark.parametrize(
    "change",
    [
        lambda rows: rows.pop(),
        first_of,
        lambda rows: rows.append(rows[0]),
        lambda rows: rows[0].update(node_id="0" * 32),
    ],
    ids=["lost", "order", "doubled", "foreign"],
)
def test_entries_that_are_not_of_the_sampled_turns(store, folder, change):
    rewrite(store, folder, change, table="logprobs")
    assert only_defect(store, f"the logprobs of wave {WAVE}: there are", "expected one of each of")


def test_lost_table(store, folder):
    remove_shard(folder, "logprobs", ANSWERS)
    assert only_defect(store, f"the logprobs of wave {ANSWERS}: there are 0")


def test_table_that_was_not_asked_for(store, folder, tmp_path):
    other = open_store(str(tmp_path / "other"))
    run_scripted(other, make_spec(fanouts=(2, 1), bounds=(1, 100), trees=1))
    shard = entry_of(folder, "logprobs")
    (tmp_path / "other" / "logprobs").mkdir()
    (tmp_path / "other" / shard.name).write_bytes((folder / shard.name).read_bytes())
    there = tmp_path / "other"
    reseal(there, shards=(*read_manifest(there).shards, shard))
    assert any("expected one of each of its 0" in defect for defect in defects_of(other))


def shorter(row: dict) -> None:
    row["positions"] -= 1
    row["tail"] = row["tail"][:-1]
    row["ids"], row["logprobs"] = row["ids"][:-TOP], row["logprobs"][:-TOP]


def narrower(row: dict) -> None:
    row["k"] = 1
    row["ids"], row["logprobs"] = row["ids"][::TOP], row["logprobs"][::TOP]


def swapped(row: dict) -> None:
    row["logprobs"][3:5] = row["logprobs"][3:5][::-1]
    row["ids"][3:5] = row["ids"][3:5][::-1]


def put(column: str, place: int, value: float) -> object:
    def change(row: dict) -> None:
        row[column][place] = value

    return change


def other_sampled(row: dict) -> None:
    """As probable as the sampled token was, all in all."""
    row["ids"][0] = 250


def other_mass(row: dict) -> None:
    row["logprobs"][0] += 0.1
    row["tail"][0] = 0.9 * row["tail"][0]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (shorter, "one for each of its tokens and for what ended it"),
        (narrower, "positions of 1 tokens"),
        (swapped, "at position 1 the most likely are not first"),
        (put("tail", 2, -0.1), "at position 2 the mass of all others is negative or no number"),
        (put("tail", 2, float("nan")), "at position 2 the mass of all others is negative or no"),
        (put("tail", 2, 0.9), "at position 2 the probabilities do not add up to 1"),
        (put("logprobs", 2, -30.0), "at position 0 the probabilities do not add up to 1"),
        (other_mass, "at position 0 the token that was sampled has another log-probability"),
        (other_sampled, "at position 0 the token that was sampled has another log-probability"),
    ],
)
def test_changed_entry(store, folder, change, said):
    row = change_row(
        store, folder, change, table="logprobs", which=lambda row: row["positions"] > 5
    )
    defects = defects_of(store)
    assert any(f"of {row['node_id']}: " in d and said in d for d in defects), defects


def test_token_that_is_listed_twice(store, folder):
    def change(row: dict) -> None:
        row["ids"][5] = row["ids"][4]

    row = change_row(
        store, folder, change, table="logprobs", which=lambda row: row["positions"] > 5
    )
    assert only_defect(store, f"of {row['node_id']}: at position 1 a token is listed twice")


def test_log_probabilities_of_too_few_tokens(store, folder):
    row = change_row(
        store,
        folder,
        lambda row: row.update(token_logprobs=row["token_logprobs"][:-1]),
        which=lambda row: row["path"] and row["num_tokens"],
    )
    count = row["num_tokens"]
    assert only_defect(store, f"its row has {count - 1} log-probabilities of {count} tokens")
