"""Verify proves what the tokenizers at hand allow, and counts the rest."""

import json
from collections import Counter
from pathlib import Path

import pytest

from jobs.cli import main
from jobs.wiring import open_run_value
from pipeline.engines.scripted_author import decode
from pipeline.storage.ledger import Ledger
from pipeline.storage.open import open_store
from pipeline.storage.runs import open_run
from pipeline.storage.store import Store
from pipeline.verify.reach import UNPROVEN
from pipeline.verify.verify import verify
from schemas.fingerprint import canonical, digest
from tests.builders import defects_of
from tests.tampering import WAVE, change_row, only_defect, recount, rewrite, rows_in
from tests.two_tongues import grow_in_two_tongues

WAVES = [f"{tree:06d}{'.0' * depth}" for tree in range(2) for depth in range(4)]


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sealed run, on disk."""
    folder = tmp_path_factory.mktemp("sound")
    store = open_store(str(folder))
    grow_in_two_tongues(store)
    return folder


def without_tokenizers(store: Store, *tongues: int) -> tuple[list[str], Counter[str]]:
    """Defects, and what remains unproven, where only the texts of some tongues can be read."""
    unproven: Counter[str] = Counter()
    run = open_run_value(open_run(store))
    decoders = dict.fromkeys(tongues, decode)
    return [
        defect.text for defect in verify(run, Ledger(store), decoders=decoders, unproven=unproven)
    ], unproven


def all_rows(store: Store, folder: Path) -> list[dict]:
    """Of all waves that have rows, what was sampled."""
    tables = [
        rows_in(store, folder, table, wave)
        for wave in WAVES
        for table in ("nodes", "dropped", "asides")
        if list((folder / table).glob(f"{wave}-*"))
    ]
    return [row for rows in tables for row in rows if row["origin"] != "given"]


def test_two_tongues_have_no_defect_with_their_spellers_and_all_is_proven(store):
    assert defects_of(store) == []
    run_file = open_run(store)
    assert run_file.tongues == (0, 1) and run_file.dialects[0] != run_file.dialects[1]


def test_without_spellers_what_was_read_in_another_tongue_is_counted(store, folder):
    defects, unproven = without_tokenizers(store, 0)
    assert defects == []
    rows = all_rows(store, folder)
    turns = [row for row in rows if row["kind"] in ("turn", "draft")]
    # A rewritten turn was asked for in the pass after its draft.
    below = [row for row in turns if row["level"] > 1 and row["origin"] == "sampled"]
    about = Counter(row["kind"] for row in rows)
    about_openings = [r for r in rows if r["kind"] == "judge" and len(r["path"]) == 2]
    assert about_openings, "what the first model is asked about its own questions can be told"
    assert unproven["judgements"] == about["judge"] - len(about_openings) > 0
    assert unproven["critiques"] == about["critique"] > 0
    again = [row for row in rows if row["origin"] == "rewritten"]
    assert unproven["rewrites"] == len(again) + about["rewrite"] > 0
    assert unproven["turns"] == len(below) - about["draft"]
    theirs = [row for row in rows if row["model_index"] == 1]
    said = [row for row in theirs if not (row["drop_reason"] or "").startswith("failed")]
    assert unproven["texts"] == len(said) > 0
    assert unproven["openings"] == 4 and not unproven["level_openings"]


def test_without_spellers_a_judgement_still_needs_its_place_and_its_node(store, folder):
    wave = WAVES[1]
    [judged, *_] = [r for r in rows_in(store, folder, "asides", wave) if r["kind"] == "judge"]

    def lose(rows: list[dict]) -> None:
        rows[:] = [row for row in rows if row["node_id"] != judged["node_id"]]

    rewrite(store, folder, lose, wave, "asides")
    said = f"node {judged['parent_id']}: was to be judged once, there are 0"
    assert any(said in defect for defect in without_tokenizers(store)[0])


def test_prompt_of_another_tongue_is_proven_only_with_spellers(store, folder):
    row = change_row(
        store,
        folder,
        lambda row: row.update(prompt_hash="0" * 32),
        wave=WAVES[1],
        table="asides",
        which=lambda row: row["kind"] == "judge",
    )
    assert without_tokenizers(store, 0, 1)[0] == []
    assert only_defect(store, f"judge {row['node_id']}: its prompt_hash is not that of")


@pytest.mark.parametrize("tongue", [0, 1])
def test_text_is_proven_only_where_its_tongue_can_be_read(store, folder, tongue):
    row = change_row(store, folder, lambda row: row.update(text="Other."), wave=WAVES[tongue])
    said = f"node {row['node_id']}: its text is not the decoding of its token ids."
    assert said in without_tokenizers(store, tongue)[0]
    assert said not in without_tokenizers(store, 1 - tongue)[0]


def test_prompt_tokens_are_not_added_up_where_a_prompt_is_not_known(store, folder):
    recount(folder, WAVES[1], prompt_tokens=1)
    assert without_tokenizers(store)[0] == []
    assert only_defect(store, f"ledger/{WAVES[1]}.json: counts 1 prompt tokens")


# The command.


def made_with_real_weights(folder: Path, model: int) -> None:
    """As if a model that is not at hand had written its part."""
    content = json.loads((folder / "run.json").read_text())
    content.pop("digest")
    content["identity"]["models"][model]["weights"] = "0" * 64
    for dialect in content["dialects"][model : model + 1]:
        dialect["tokenizer"] = "1" * 64
    sealed = json.dumps(content | {"digest": digest(canonical(content))})
    (folder / "run.json").write_text(sealed)


def test_command_says_what_it_could_not_prove_and_for_want_of_which_model(store, folder, capsys):
    made_with_real_weights(folder, 1)
    assert main(["verify", str(folder)]) == 0
    first, said = capsys.readouterr().out.splitlines()
    expected = without_tokenizers(store, 0)[1]
    assert "no defect found" in first
    for kind in ("turns", "judgements", "critiques", "rewrites"):
        assert f"{expected[kind]} {kind}" in said
    assert f"; {expected['texts']} texts; {expected['openings']} openings" in said
    assert said.endswith("missing is --model DIR for other.")
    assert main(["verify", str(folder), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["unproven"] == {kind: expected[kind] for kind in UNPROVEN}
    assert not report["cut_short"]


def test_command_that_proves_all_says_no_more(store, folder, capsys):
    assert main(["verify", str(folder)]) == 0
    assert capsys.readouterr().out.splitlines() == [f"run {store.location}: no defect found"]
    assert main(["verify", str(folder), "--json"]) == 0
    assert not any(json.loads(capsys.readouterr().out)["unproven"].values())


def test_command_ends_where_there_are_too_many_defects_and_says_so(store, folder, capsys):
    for wave in WAVES:
        rewrite(
            store, folder, lambda rows: [r.update(prompt_hash="0", text="") for r in rows], wave
        )
    assert main(["verify", str(folder), "--json"]) == 1
    report = json.loads(capsys.readouterr().out)
    assert (len(report["defects"]), report["cut_short"]) == (50, True)
    assert len(defects_of(store)) > 50


def test_command_refuses_a_directory_of_no_model_of_the_run(store, folder, tmp_path, capsys):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "tokenizer.json").write_text("{}")
    assert main(["verify", str(folder), "--model", str(tmp_path / "model")]) == 2
    assert "is of none of the models" in " ".join(capsys.readouterr().err.split())


def test_unproven_openings_are_proven_once_they_can_be_spelled(store, folder):
    def change(row: dict) -> None:
        row["openings"][1]["token_ids"] = row["openings"][1]["token_ids"][:-1]

    change_row(store, folder, change, wave=WAVE, table="roots")
    said = "the root of tree 0: its opening in tongue 1 is not what its messages give."
    assert said in defects_of(store)
    assert said not in without_tokenizers(store)[0]
