"""Verify finds changed or missing evidence: scores, features, judgements, verdicts in full."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jobs.cli import main
from jobs.wiring import open_run_value
from pipeline.engines.scripted_author import decode
from pipeline.storage.ledger import Ledger
from pipeline.storage.open import open_store
from pipeline.storage.runs import open_run
from pipeline.storage.store import Store
from pipeline.tree.judge import read_score
from pipeline.verify.verify import verify
from schemas.curation_spec import JudgeSpec
from schemas.fingerprint import canonical, digest
from tests.builders import ODD, defects_of, make_spec, run_scripted
from tests.tampering import (
    WAVE,
    Rows,
    change_row,
    entry_of,
    only_defect,
    recount,
    remove_shard,
    reseal,
    rewrite,
    rows_in,
)

ANSWERS = f"{WAVE}.0"
"""The wave of the answers to the openings of `WAVE`."""

CURATION = {
    "filters": [
        *("empty", "truncated", "role_leak", "length", "likelihood", "language"),
        {"filter": "judge", "roles": ["assistant"], "min_score": 2},
    ],
    "duplicates": "near",
    "diversity": {},
}
SCRIPTED = {**ODD, "leak_share": 0, "truncate_share": 0, "mean_tokens": 60}


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sealed run of two cohorts whose answers are judged, on disk."""
    folder = tmp_path_factory.mktemp("sound")
    store = open_store(str(folder))
    spec = make_spec(
        fanouts=(12, 3), bounds=(1, 200), scripted=SCRIPTED, generation={"curation": CURATION}
    )
    run_scripted(store, spec)
    assert defects_of(store) == []
    return folder


# Verdicts.


@pytest.mark.parametrize(
    ("column", "table", "said"),
    [("similarity", "dropped", ", similarity 0.125"), ("mmr_rank", "nodes", ", rank 17")],
)
def test_verdict_with_other_evidence(store, folder, column, table, said):
    value = {"similarity": 0.125, "mmr_rank": 17}[column]
    row = change_row(
        store,
        folder,
        lambda row: row.update({column: value}),
        table=table,
        which=lambda row: row[column] is not None,
    )
    assert only_defect(store, f"node {row['node_id']}: its verdict is", said)


@pytest.mark.parametrize(("column", "table"), [("similarity", "dropped"), ("mmr_rank", "nodes")])
def test_verdict_without_its_evidence(store, folder, column, table):
    row = change_row(
        store,
        folder,
        lambda row: row.update({column: None}),
        table=table,
        which=lambda row: row[column] is not None,
    )
    assert only_defect(store, f"node {row['node_id']}: its verdict is")


# Scores and signatures.


def set_score(name: str, value: float) -> Callable[[dict[str, Any]], None]:
    def change(row: dict[str, Any]) -> None:
        others = [score for score in row["scores"] or () if score["name"] != name]
        row["scores"] = [*others, {"name": name, "value": value}]

    return change


def drop_score(name: str) -> Callable[[dict[str, Any]], None]:
    def change(row: dict[str, Any]) -> None:
        row["scores"] = [score for score in row["scores"] if score["name"] != name]

    return change


@pytest.mark.parametrize("name", ["tokens", "chars", "mean_logprob"])
@pytest.mark.parametrize("wave", [WAVE, ANSWERS])
def test_changed_score(store, folder, name, wave):
    row = change_row(store, folder, set_score(name, -3.0), wave=wave)
    assert any(
        f"node {row['node_id']}: its score {name} is -3.0; its turn gives" in defect
        for defect in defects_of(store)
    )


def test_changed_score_that_decides_no_verdict_is_found_by_its_name(store, folder):
    row = change_row(store, folder, set_score("chars", 4321.0))
    assert only_defect(store, f"node {row['node_id']}: its score chars is 4321.0; its turn gives")


def test_lost_score(store, folder):
    row = change_row(store, folder, drop_score("mean_logprob"))
    assert only_defect(store, f"node {row['node_id']}: its score mean_logprob is nan")


def test_score_of_no_filter(store, folder):
    row = change_row(store, folder, set_score("charm", 1.0))
    assert only_defect(store, f"node {row['node_id']}: has a score charm")


def test_score_of_a_root(store, folder):
    row = change_row(store, folder, set_score("chars", 1.0), which=lambda row: not row["path"])
    assert only_defect(store, f"node {row['node_id']}: has a score chars")


def test_score_of_a_sum_that_is_stored_less_exactly_is_found_again(store, folder):
    def change(row: dict[str, Any]) -> None:
        count = row["num_tokens"]
        sums = (-count * (1.0 + step / 700) for step in range(1000))
        total = next(s for s in sums if np.float32(np.float32(s) / count) != np.float32(s / count))
        row["logprob_sum"] = float(np.float32(total))
        set_score("mean_logprob", float(np.float32(total / count)))(row)

    # Dividing by a power of two would be exact.
    change_row(store, folder, change, which=lambda row: row["num_tokens"].bit_count() > 1)
    assert defects_of(store) == []


def test_changed_signature(store, folder):
    def change(row: dict[str, Any]) -> None:
        row["signature"][7] ^= 1

    row = change_row(store, folder, change, table="features")
    assert any(
        defect == f"node {row['node_id']}: its signature is not that of its text."
        for defect in defects_of(store)
    )


def test_changed_score_is_taken_as_given_where_that_is_asked_for(store, folder):
    change_row(store, folder, set_score("chars", 4321.0))
    run = open_run_value(open_run(store))
    assert list(verify(run, Ledger(store), decoders={0: decode}, remeasure=False)) == []
    assert list(verify(run, Ledger(store), decoders={0: decode}, rejudge=False)) == []


# Features.


def test_missing_features(store, folder):
    features = rows_in(store, folder, "features")
    remove_shard(folder, "features")
    first = features[0]["node_id"]
    said = f"the features of wave {WAVE}: there are 0, expected one of each of its {len(features)}"
    assert any(said in defect and first in defect for defect in defects_of(store))


@pytest.mark.parametrize(
    "change",
    [
        lambda rows: rows.pop(),
        lambda rows: rows.reverse(),
        lambda rows: rows.append(rows[0]),
        lambda rows: rows.append(rows[0] | {"node_id": "0" * 32}),
    ],
    ids=["lost", "order", "doubled", "foreign"],
)
def test_features_that_are_not_of_the_sampled_candidates(store, folder, change):
    rewrite(store, folder, change, table="features")
    assert any(f"the features of wave {WAVE}: there are" in defect for defect in defects_of(store))


@pytest.mark.parametrize(
    ("column", "width", "said"),
    [
        ("signature", 124, "signatures hold 124 numbers, expected 125"),
        ("signature", 0, "signatures hold 0 numbers"),
        ("vector", 0, "vectors hold 0 numbers"),
    ],
)
def test_features_of_another_width(store, folder, column, width, said):
    def change(rows: Rows) -> None:
        for row in rows:
            row[column] = row[column][:width]

    rewrite(store, folder, change, table="features")
    assert any(f"the features of wave {WAVE}: {said}" in d for d in defects_of(store))


def test_vectors_of_another_width_than_in_other_waves(store, folder):
    def change(rows: Rows) -> None:
        for row in rows:
            row["vector"].append(0)

    rewrite(store, folder, change, wave="000001", table="features")
    assert only_defect(store, "the features of wave 000001: vectors hold", f"those of wave {WAVE}")


def test_features_that_the_spec_does_not_ask_for(tmp_path, store, folder):
    bare = open_store(str(tmp_path / "bare"))
    curation = {"filters": ["empty"], "duplicates": "exact", "diversity": None}
    run_scripted(bare, make_spec(fanouts=(3, 2), generation={"curation": curation}))
    rewrite(
        bare,
        tmp_path / "bare",
        lambda rows: [row["vector"].append(1) for row in rows],
        table="features",
    )
    assert only_defect(bare, f"the features of wave {WAVE}: vectors hold 1 numbers")


@pytest.mark.parametrize("column", ["signature", "vector"])
@pytest.mark.parametrize("evened_out", [False, True])
def test_uneven_features_are_a_damaged_file(store, folder, column, evened_out):
    def change(rows: Rows) -> None:
        rows[0][column].append(1)
        if evened_out:
            rows[1][column].pop()

    name = rewrite(store, folder, change, table="features")
    assert any(f"{name}: column {column} must hold" in defect for defect in defects_of(store))


def test_features_with_numbers_missing_are_a_damaged_file(store, folder):
    def change(rows: Rows) -> None:
        rows[0]["vector"][0] = None

    name = rewrite(store, folder, change, table="features")
    assert any(f"{name}: column vector lacks values" in defect for defect in defects_of(store))


# Judgements.


def recount_asides(store: Store, folder: Path) -> None:
    """Make the manifest's counts fit what is said in the asides now."""
    rows = rows_in(store, folder, "asides", ANSWERS)
    kinds = ["judge" if row["drop_reason"] is None else "judge failed" for row in rows]
    asides = {kind: kinds.count(kind) for kind in sorted(set(kinds))}
    recount(folder, ANSWERS, asides=asides, aside_tokens=sum(row["num_tokens"] for row in rows))


def scored(row: dict[str, Any]) -> bool:
    return row["drop_reason"] is None and read_score(row["text"], JudgeSpec()) > 0


def test_lost_judgement(store, folder):
    [gone] = [row for row in rows_in(store, folder, "asides", ANSWERS) if scored(row)][:1]
    rewrite(
        store,
        folder,
        lambda rows: rows.remove(next(r for r in rows if r["node_id"] == gone["node_id"])),
        ANSWERS,
        "asides",
    )
    recount_asides(store, folder)
    node = f"node {gone['parent_id']}"
    defects = defects_of(store)
    assert f"{node}: was to be judged once, there are 0 judgements of it." in defects
    assert any(f"{node}: its score judge is" in defect for defect in defects)


def test_all_judgements_lost(store, folder):
    about = {row["parent_id"] for row in rows_in(store, folder, "asides", ANSWERS)}
    remove_shard(folder, "asides", ANSWERS)
    recount(folder, ANSWERS, asides={}, aside_tokens=0)
    missing = [d for d in defects_of(store) if "was to be judged once, there are 0" in d]
    assert len(missing) == len(about) > 0


def test_doubled_judgement(store, folder):
    rewrite(store, folder, lambda rows: rows.append(rows[-1]), ANSWERS, "asides")
    recount_asides(store, folder)
    assert only_defect(store, "was to be judged once, there are 2 judgements of it")


def test_judgement_of_a_turn_that_was_not_to_be_judged(store, folder):
    [fallen] = [
        row["node_id"]
        for row in rows_in(store, folder, "dropped", ANSWERS)
        if row["drop_reason"] not in ("judge", "duplicate", "near_duplicate", "surplus")
    ][:1]
    row = change_row(
        store, folder, lambda row: row.update(parent_id=fallen), wave=ANSWERS, table="asides"
    )
    defects = defects_of(store)
    said = f"judge {row['node_id']}: is about {fallen}, which was not to be judged"
    assert any(said in defect for defect in defects)
    assert any(f"node {row['parent_id']}: was to be judged once" in defect for defect in defects)


def test_judgement_with_another_text_and_its_ids(store, folder):
    def change(row: dict[str, Any]) -> None:
        other = "4" if row["text"] != "4" else "5"
        row |= {"text": other, "token_ids": [ord(other)], "num_tokens": 1}

    row = change_row(store, folder, change, wave=ANSWERS, table="asides", which=scored)
    recount_asides(store, folder)
    assert only_defect(
        store, f"node {row['parent_id']}: its score judge is {row['text']}.0; what was said"
    )


@pytest.mark.parametrize(
    ("column", "value", "said"),
    [
        ("text", "4.0", "its text is not the decoding of its token ids"),
        ("node_id", "0" * 32, "its id does not follow from its place"),
        ("kind", "critique", "nothing is written again"),
        ("prompt_hash", "0" * 32, "its prompt_hash is not that of the question"),
        ("mmr_rank", 0, "it can only have failed"),
        ("reasoning_tokens", 1, "1 reasoning tokens, its ids give 0"),
    ],
)
def test_changed_judgement(store, folder, column, value, said):
    row = change_row(
        store,
        folder,
        lambda row: row.update({column: value}),
        wave=ANSWERS,
        table="asides",
        which=scored,
    )
    named = value if column == "node_id" else row["node_id"]
    assert any(f" {named}: " in d and said in d for d in defects_of(store))


@pytest.mark.parametrize("counts", [{"asides": {"judge": 1}}, {"aside_tokens": 1}])
def test_wrong_count_of_judgements(store, folder, counts):
    recount(folder, ANSWERS, **counts)
    assert only_defect(store, f"ledger/{ANSWERS}.json: counts")


def test_manifest_that_names_no_judgements_although_it_counts_them(store, folder):
    remove_shard(folder, "asides", ANSWERS)
    assert any(f"ledger/{ANSWERS}.json: counts asides" in d for d in defects_of(store))


# The command.


def made_by_another_version(folder: Path) -> None:
    """As if another selection and a filter of an earlier version had made the run."""
    content = json.loads((folder / "run.json").read_text())
    content.pop("digest")
    content["identity"]["curation"]["selection"] = "0"
    del content["identity"]["curation"]["length"]
    sealed = json.dumps(content | {"digest": digest(canonical(content))})
    (folder / "run.json").write_text(sealed)


def test_command_says_that_all_was_checked(store, folder, capsys):
    assert main(["verify", str(folder), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["defects"] == [] and report["versions_differ"] == {}
    assert report["verdicts_checked"] and report["scores_checked"]


def test_command_says_what_it_could_not_check(store, folder, capsys):
    made_by_another_version(folder)
    assert main(["verify", str(folder)]) == 0
    said = capsys.readouterr().out
    assert "no defect found" in said
    assert "Verdicts, scores and signatures were not derived again" in said
    assert "selection: 0 in the run, " in said and "length: none in the run, 1 here" in said
    assert main(["verify", str(folder), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert not report["verdicts_checked"] and not report["scores_checked"]
    assert set(report["versions_differ"]) == {"selection", "length"}
    assert report["versions_differ"]["length"] == {"stored": None, "here": "1"}


def test_command_finds_other_defects_where_versions_differ(store, folder, capsys):
    made_by_another_version(folder)
    remove_shard(folder, "features")
    assert main(["verify", str(folder)]) == 1
    said = capsys.readouterr().out
    assert f"the features of wave {WAVE}" in said and "were not derived again" in said


def test_command_takes_scores_as_given_when_it_is_to_be_fast(store, folder, capsys):
    change_row(store, folder, set_score("chars", 4321.0))
    assert main(["verify", str(folder)]) == 1
    assert "its score chars is 4321.0" in capsys.readouterr().out
    assert main(["verify", str(folder), "--fast", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["verdicts_checked"] and not report["scores_checked"]


def test_foreign_table_in_a_manifest(store, folder):
    nodes = entry_of(folder, "nodes")
    reseal(folder, shards=(nodes, nodes))
    assert any("expected at most one file of each" in defect for defect in defects_of(store))
