"""What pages are told, against the rows that are stored."""

import uuid
from collections import Counter

import numpy as np
import pytest

from jobs.cli import main
from pipeline.pool.tasks import LocalTasks
from pipeline.refine.loop import Asked, Origin, refine
from pipeline.storage.ledger import Ledger
from pipeline.storage.open import open_store
from pipeline.storage.runs import create_run, open_run
from pipeline.storage.snapshots import latest
from pipeline.view.query import Query
from pipeline.view.routes import ROUTES
from pipeline.view.run import AtHand, ViewedRun
from pipeline.view.server import page_files
from schemas.errors import UserError
from schemas.refine_spec import RefineSpec
from schemas.wave_id import WaveId
from tests.builders import rows_of
from tests.unit.view.viewed import ask, grown, rows, tree_rows, view_of


@pytest.fixture(scope="module")
def viewed() -> ViewedRun:
    return grown(open_store(f"memory://{uuid.uuid4().hex}"))


@pytest.fixture(scope="module")
def stored(viewed) -> list[dict]:
    """All rows of the run."""
    return rows_of(viewed.store)


def by_place(found: list[dict]) -> list[tuple]:
    return sorted((row["tree_id"], tuple(row["path"]), row["drop_reason"]) for row in found)


def test_summary_adds_up_to_the_rows(viewed, stored):
    told = ask(viewed, "run")
    sampled = [row for row in stored if row["level"]]
    for level in told["levels"]:
        own = [row["drop_reason"] for row in sampled if row["level"] == level["level"]]
        assert (level["kept"], level["dropped"]) == (own.count(None), len(own) - own.count(None))
    assert sum(cohort[1] for cohort in told["cohorts"]) == len(stored) - len(sampled)
    assert sum(cohort[2] + cohort[3] for cohort in told["cohorts"]) == len(sampled)
    assert told["sealed"] is True


def test_summary_reads_no_shard(viewed):
    read = []

    class Noting:
        location = viewed.store.location
        list = viewed.store.list

        def read(self, name):
            read.append(name)
            return viewed.store.read(name)

    other = ViewedRun(Noting(), viewed.run_file, viewed.at_hand)
    ask(other, "run")
    assert [name for name in read if name.endswith(".parquet")] == []


def test_trees_are_told_once_with_their_sizes(viewed, stored):
    found = [tree for line in ask(viewed, "trees") for tree in line.get("trees", [])]
    for number, kept, dropped, depth, tokens in found:
        own = [row for row in stored if row["tree_id"] == number and row["level"]]
        assert kept == sum(row["drop_reason"] is None for row in own)
        assert dropped == sum(row["drop_reason"] is not None for row in own)
        assert depth == max(row["level"] for row in own if row["drop_reason"] is None)
        assert tokens == sum(row["num_tokens"] for row in own)
    assert len(found) == len({row["tree_id"] for row in stored})


def test_roots_are_what_trees_grow_from(viewed):
    assert ask(viewed, "roots", cohort=0) == {"roots": {"0": "On rivers."}}
    assert ask(viewed, "roots", cohort=1) == {"roots": {"1": "On bread."}}


def test_trees_go_on_where_they_stopped(viewed):
    first = ask(viewed, "trees", most=1)
    rest = ask(viewed, "trees", **{"from": first[-1]["next"]})
    whole = ask(viewed, "trees")
    assert [*first[:-1], *rest] == whole
    assert rest[-1] == {"next": None}


@pytest.mark.parametrize("tree", [0, 1])
def test_tree_has_all_of_its_rows(viewed, stored, tree):
    own = [row for row in stored if row["tree_id"] == tree]
    assert by_place(tree_rows(viewed, tree)) == by_place(own)


def test_tree_cut_short_is_whole_once_all_is_unfolded(viewed, stored, monkeypatch):
    monkeypatch.setattr("pipeline.view.tree.MOST_ROWS", 1)
    told = ask(viewed, "tree", cohort=0, tree=0)
    found = told["rows"]
    assert len(found) < sum(row["tree_id"] == 0 for row in stored)
    assert told["open"]
    waiting = [row for row in found if row["path"] and not row["drop_reason"]]
    while waiting:
        row = waiting.pop()
        below = ask(viewed, "children", wave=row["wave"], node=row["node_id"])["rows"]
        found += below
        waiting += [child for child in below if not child["drop_reason"]]
    assert by_place(found) == by_place([row for row in stored if row["tree_id"] == 0])


def test_children_of_a_root_are_the_openings(viewed):
    root, *others = tree_rows(viewed)
    below = ask(viewed, "children", wave=root["wave"], node=root["node_id"])["rows"]
    assert by_place(below) == by_place([row for row in others if len(row["path"]) == 1])


def test_wrong_tree_is_refused(viewed):
    with pytest.raises(UserError, match="is not in cohort"):
        ask(viewed, "tree", cohort=0, tree=99)


@pytest.mark.parametrize("most", [1, 2, 3, 7, 50])
def test_search_finds_every_turn_once_whatever_a_page_holds(viewed, stored, most):
    found, place = [], {}
    while place is not None:
        answer = ask(viewed, "search", q="the", most=most, **place)
        page = [row for line in answer for row in line.get("rows", [])]
        assert len(page) <= most
        found += page
        place = answer[-1]["next"]
    expected = [row for row in stored if "the" in row["text"].lower()]
    assert by_place(found) == by_place(expected)
    assert len(expected) > 7


@pytest.mark.parametrize("among", ["kept", "dropped"])
def test_search_keeps_to_one_side(viewed, stored, among):
    found = rows(viewed, "search", q="a", among=among)
    expected = [
        row
        for row in stored
        if "a" in row["text"].lower() and (row["drop_reason"] is None) == (among == "kept")
    ]
    assert by_place(found) == by_place(expected)


def test_search_takes_words_as_they_are(viewed):
    assert rows(viewed, "search", q=".*") == []


def test_search_that_nobody_listens_to_reads_no_further(viewed):
    lines = ROUTES["search"](viewed, Query({"q": "zzzz"}))
    assert next(lines)["looked"] == 1
    lines.close()
    assert list(lines) == []


def test_dropped_turns_are_all_there_by_reason(viewed):
    for reason, number in viewed.index().counts.dropped.items():
        found = rows(viewed, "dropped", reason=reason)
        assert [row["drop_reason"] for row in found] == [reason] * number
    assert len(rows(viewed, "dropped")) == viewed.index().counts.num_dropped
    assert {len(row["path"]) for row in rows(viewed, "dropped", level=2)} == {2}


def test_pairs_stand_beside_their_keepers(viewed, stored):
    by_id = {row["node_id"]: row for row in stored}
    found = rows(viewed, "pairs")
    expected = [
        row
        for row in stored
        if row["keeper_id"] and row["drop_reason"] in ("duplicate", "near_duplicate", "similar")
    ]
    assert by_place([pair["fallen"] for pair in found]) == by_place(expected)
    assert found
    for pair in found:
        assert pair["keeper"]["text"] == by_id[pair["fallen"]["keeper_id"]]["text"]
        assert "".join(text for text, _ in pair["parts"][0]) == pair["fallen"]["text"]


def test_every_node_has_a_story(viewed, stored):
    for row in [row for tree in (0, 1) for row in tree_rows(viewed, tree)]:
        told = ask(viewed, "node", wave=row["wave"], node=row["node_id"])
        assert told["verdict"]["reason"] == row["drop_reason"]
        assert [turn["path"] for turn in told["path"]] == [
            row["path"][:depth] for depth in range(1, len(row["path"]) + 1)
        ]
        assert told["verdict"]["words"]
        if row["path"]:
            assert told["prompt"]["proven"] is True
            assert "".join(text for text, _, _ in told["pieces"]) == told["node"]["text"]
            assert any(special for _, special in told["prompt"]["parts"])


def test_drafts_and_critiques_have_stories_of_their_own():
    critique = {"critique": "What is wrong?", "rewrite": "Again."}
    levels = [
        {"role": "user", "fanout": 2, "max_tokens": 40},
        {"role": "assistant", "fanout": 1, "max_tokens": 40, "critique": critique},
    ]
    viewed = grown(
        open_store(f"memory://{uuid.uuid4().hex}"),
        generation={"levels": levels, "turns": {}},
        scripted={"mean_tokens": 12, "sigma": 0.3},
    )
    row = next(row for row in tree_rows(viewed) if row["origin"] == "rewritten")
    told = ask(viewed, "node", wave=row["wave"], node=row["node_id"])
    assert [aside["kind"] for aside in told["beside"]] == ["draft", "critique"]
    assert told["prompt"]["proven"] is None
    for aside in told["beside"]:
        own = ask(viewed, "node", wave=row["wave"], node=aside["node_id"])
        assert (own["node"]["kind"], own["about"]) == (aside["kind"], row["node_id"])
        assert (own["node"]["text"], own["prompt"]) == (aside["text"], None)


def test_story_without_a_wave_is_found(viewed):
    row = tree_rows(viewed)[-1]
    assert ask(viewed, "node", node=row["node_id"])["wave"] == row["wave"]


@pytest.mark.parametrize("wave", ["000009", "x", "../run.json"])
def test_story_of_a_wrong_wave_is_refused(viewed, wave):
    with pytest.raises(UserError, match="no wave of this run"):
        ask(viewed, "node", wave=wave, node="00")


def test_story_of_a_wrong_node_is_refused(viewed):
    with pytest.raises(UserError, match="is not in wave"):
        ask(viewed, "node", wave="000000", node="00")


def test_scores_are_distributed_as_stored(viewed, stored):
    told = {(one["score"], one["role"]): one for one in ask(viewed, "scores")["scores"]}
    words = told["words", "user"]
    values = [
        pair["value"]
        for row in stored
        if row["role"] == "user" and row["drop_reason"] is None
        for pair in row["scores"] or ()
        if pair["name"] == "words"
    ]
    assert words["num_kept"] == len(values)
    assert words["kept"] == sorted(values)


def test_scores_of_many_turns_are_told_by_their_quantiles(viewed, stored, monkeypatch):
    monkeypatch.setattr("pipeline.view.thresholds._STEPS", 4)
    told = {(one["score"], one["role"]): one for one in ask(viewed, "scores")["scores"]}
    values = [
        pair["value"]
        for row in stored
        if row["role"] == "user" and row["drop_reason"] is None
        for pair in row["scores"] or ()
        if pair["name"] == "words"
    ]
    expected = np.quantile(values, [0, 0.25, 0.5, 0.75, 1])
    assert told["words", "user"]["kept"] == pytest.approx(expected)


def test_scores_carry_the_thresholds_of_the_spec(viewed):
    told = {(one["score"], one["role"]): one["limits"] for one in ask(viewed, "scores")["scores"]}
    assert told["top_2gram", "assistant"] == [
        {"filter": "repetition", "relation": ">", "threshold": 0.2}
    ]
    assert told["words", "assistant"] == []


@pytest.mark.parametrize("relation", ["<", ">"])
def test_falling_turns_are_the_kept_ones_beyond(viewed, stored, relation):
    found = rows(viewed, "falling", score="words", role="user", relation=relation, threshold=5)
    expected = [
        row
        for row in stored
        if row["role"] == "user" and row["drop_reason"] is None
        for pair in row["scores"] or ()
        if pair["name"] == "words" and (pair["value"] < 5 if relation == "<" else pair["value"] > 5)
    ]
    assert by_place(found) == by_place(expected)


@pytest.mark.parametrize(
    ("name", "query"),
    [
        ("falling", {"score": "words", "relation": "=", "threshold": "1"}),
        ("falling", {"score": "words", "relation": ">", "threshold": "nan"}),
        ("tree", {"cohort": "-1", "tree": "0"}),
        ("tree", {"cohort": "0"}),
        ("search", {"q": " "}),
        ("search", {"q": "x" * 5000}),
        ("search", {"q": "x", "among": "some"}),
        ("search", {"q": "x", "most": "٣"}),
    ],
)
def test_wrong_question_is_refused_in_words(viewed, name, query):
    with pytest.raises(UserError, match=r"expected|missing"):
        ask(viewed, name, **query)


def test_growing_run_shows_waves_as_they_are_committed(viewed):
    store = open_store(f"memory://{uuid.uuid4().hex}")
    create_run(store, open_run(viewed.store))
    growing = view_of(store)
    assert ask(growing, "run")["levels"] == []
    manifest = Ledger(viewed.store).read("000000")
    for entry in manifest.shards:
        store.create(entry.name, viewed.store.read(entry.name))
    Ledger(store).commit(manifest)
    told = ask(view_of(store), "run")
    assert told["sealed"] is False
    assert told["counts"]["kept"] == manifest.counts.kept
    assert {len(row["path"]) for row in tree_rows(view_of(store))} == {0, 1}


def test_refined_run_marks_what_is_left_out():
    viewed = grown(open_store(f"memory://{uuid.uuid4().hex}"))
    row = next(r for r in tree_rows(viewed) if len(r["path"]) == 1 and not r["drop_reason"])
    snapshot, run_file = latest(viewed.store), open_run(viewed.store)
    tasks = LocalTasks()
    try:
        refine(
            [Origin(viewed.store, run_file, snapshot)],
            Asked(RefineSpec(), [row["node_id"]]),
            tasks,
            attempt="a",
            note=lambda doing: None,
        )
    finally:
        tasks.close()
    after = view_of(viewed.store)
    marks = Counter(r["left_out"] for r in tree_rows(after) if r["path"][:1] == row["path"])
    assert marks["withdrawn"] == 1
    assert marks["subtree"] > 0
    told = ask(after, "node", wave=row["wave"], node=row["node_id"])
    assert told["later"]["reason"] == "withdrawn"
    listed = rows(after, "left_out", reason="withdrawn")
    assert [found["node_id"] for found in listed] == [row["node_id"]]
    assert sum(ask(after, "run")["refined"].values()) >= 1


def test_keeper_of_a_later_drop_is_found_in_any_wave(viewed):
    own, other = (tree_rows(viewed, tree)[-1] for tree in (0, 1))
    told = ask(viewed, "keeper", wave=own["wave"], node=own["node_id"], keeper=other["node_id"])
    assert told["keeper"]["node_id"] == other["node_id"]
    assert "".join(text for text, _ in told["parts"][0]) == own["text"]
    with pytest.raises(UserError, match="is not among"):
        ask(viewed, "keeper", wave=own["wave"], node=own["node_id"], keeper="00")


def test_run_without_its_recipe_is_shown_all_the_same(viewed):
    bare = ViewedRun(viewed.store, viewed.run_file, AtHand({}, missing="no such recipe"))
    row = tree_rows(bare)[-1]
    told = ask(bare, "node", wave=row["wave"], node=row["node_id"])
    assert (told["prompt"], told["verdict"]["words"]) == (None, None)
    assert {piece[0] for piece in told["pieces"]} == {None}
    assert ask(bare, "run")["missing"] == "no such recipe"


def test_prompt_without_a_tokenizer_has_the_stored_texts_between_ids(viewed):
    run = viewed.at_hand.run
    bare = ViewedRun(viewed.store, viewed.run_file, AtHand({}, run))
    row = next(r for r in tree_rows(bare) if len(r["path"]) == 3)
    whole = ask(viewed, "node", wave=row["wave"], node=row["node_id"])
    told = ask(bare, "node", wave=row["wave"], node=row["node_id"])["prompt"]
    assert (told["decoded"], told["proven"]) == (False, True)
    assert [text for text, special in told["parts"] if not special] == [
        "On rivers.",
        *(turn["text"] for turn in whole["path"][:-1]),
    ]
    ids = [text.split() for text, special in told["parts"] if special]
    assert all(number.isdigit() for numbers in ids for number in numbers)


def test_waves_of_an_index_are_in_order_of_place(viewed):
    waves = viewed.index().waves
    assert list(waves) == sorted(waves, key=WaveId.parse)


def test_view_refuses_a_folder_without_a_run(tmp_path):
    assert main(["view", str(tmp_path), "--open", "false"]) == 2


def test_pages_ask_nobody_else():
    for name, content in page_files().items():
        text = content.decode().replace("http://www.w3.org/2000/svg", "")
        assert "http:" not in text, name
        assert "https:" not in text, name
        assert "innerHTML" not in text, name
