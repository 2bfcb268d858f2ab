"""The story of a node: of every row of a run, against what is stored."""

import json
from collections import Counter, defaultdict

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.cli import main
from jobs.explain_words import printable
from pipeline.storage.drops import write_drops
from pipeline.storage.shards import read_shard
from pipeline.storage.snapshots import latest, seal_snapshot
from schemas.drop_list import DROP_SCHEMA
from schemas.manifest import Manifest
from tests.builders import ODD, make_spec, memory_store, rows_of, run_scripted

CURATION = {
    "filters": [
        *("empty", "truncated", "role_leak"),
        {"filter": "length", "max_chars": 60, "roles": ["user"]},
        {"filter": "length", "max_chars": 50, "roles": ["assistant"]},
    ],
    "near_threshold": 0.7,
    "diversity": {"max_cosine": 0.3},
}


@pytest.fixture(scope="module")
def run():
    """A sealed run in which turns fall for many reasons, and its rows."""
    store = memory_store()
    habits = {**ODD, "mean_tokens": 60}
    spec = make_spec(
        fanouts=(8, 6, 3),
        trees=24,
        bounds=(2, 60),
        scripted=habits,
        generation={"curation": CURATION},
        max_failed_share=1.0,
    )
    run_scripted(store, spec)
    return store, rows_of(store)


@pytest.fixture
def explain(capfd):
    def call(store, node_id, *more):
        capfd.readouterr()
        code = main(["explain", store.location, node_id, *more])
        out, err = capfd.readouterr()
        return code, out, " ".join(err.split())

    return call


def some_of_each(rows):
    """Rows of every fate at every level."""
    alike = defaultdict(list)
    for row in rows:
        alike[row["level"], row["drop_reason"]].append(row)
    return [row for group in alike.values() for row in group[:3]]


def test_rows_are_explained_as_they_are_stored(run, explain):
    store, rows = run
    by_id = {row["node_id"]: row for row in rows}
    assert len({row["drop_reason"] for row in rows}) >= 7
    for row in some_of_each(rows):
        code, out, _ = explain(store, row["node_id"], "--json")
        story = json.loads(out)
        assert code == 0 and story["node"]["text"] == row["text"]
        assert (story["verdict"]["reason"], story["verdict"]["keeper_id"]) == (
            row["drop_reason"],
            row["keeper_id"],
        )
        assert [turn["node_id"] for turn in story["path"]] == chain(by_id, row)
        siblings = [r["node_id"] for r in rows if row["parent_id"] and same(r, row, "parent_id")]
        assert [sibling["node_id"] for sibling in story["siblings"]] == siblings
        below = Counter(r["drop_reason"] for r in rows if r["parent_id"] == row["node_id"])
        assert (story["children"]["asked"], story["children"]["kept"]) == (
            below.total(),
            below[None],
        )
        assert story["children"]["dropped"] == {k: n for k, n in below.items() if k}
        assert story["scores"] == {s["name"]: s["value"] for s in row["scores"] or []}
        if row["keeper_id"]:
            assert story["keeper"]["text"] == by_id[row["keeper_id"]]["text"]


def chain(by_id, row):
    """Ids from the root down to a row."""
    above = chain(by_id, by_id[row["parent_id"]]) if row["parent_id"] else []
    return [*above, row["node_id"]]


def same(one, other, column):
    return one[column] == other[column]


SAID = {
    "kept": "kept, chosen in place",
    "empty": "dropped by the filter empty: empty 1 > 0",
    "truncated": "dropped by the filter truncated: truncated 1 > 0",
    "role_leak": "dropped by the filter role_leak: role_leak 1 > 0",
    "length": "dropped by the filter length: chars ",
    "duplicate": "dropped as duplicate: the same text as its sibling ",
    "similar": "dropped as similar: too close in meaning to its sibling ",
    "surplus": "of its siblings were chosen before it; it is closest to its sibling ",
    "failed:engine": "dropped, the request gave no text (engine)",
}


@pytest.mark.parametrize("reason", SAID)
def test_verdict_is_said_in_words(reason, run, explain):
    store, rows = run
    wanted = None if reason == "kept" else reason
    row = next(r for r in rows if r["drop_reason"] == wanted and r["level"] > 1)
    code, out, _ = explain(store, row["node_id"])
    assert code == 0 and SAID[reason] in out
    assert f"node {row['node_id']} of run {store.location}" in out
    assert all(line == printable(line) for line in out.splitlines())


def test_the_threshold_that_mattered_is_that_of_the_role(run, explain):
    store, rows = run
    for role, limit in (("user", 60), ("assistant", 50)):
        row = next(r for r in rows if r["drop_reason"] == "length" and r["role"] == role)
        story = json.loads(explain(store, row["node_id"], "--json")[1])
        assert story["evidence"] == [
            {"score": "chars", "value": len(row["text"]), "relation": ">", "threshold": limit}
        ]


def test_cosine_is_said_with_its_threshold(run, explain):
    store, rows = run
    row = next(r for r in rows if r["drop_reason"] == "similar")
    assert f"cosine {row['similarity']:.3f} >= 0.3" in explain(store, row["node_id"])[1]


def test_a_prefix_that_names_one_node_will_do(run, explain):
    store, rows = run
    ids = sorted(row["node_id"] for row in rows)
    first = next(i for i in range(1, 33) if not ids[1].startswith(ids[0][:i]))
    assert json.loads(explain(store, ids[0][:first], "--json")[1])["node"]["node_id"] == ids[0]


def test_a_prefix_of_several_and_of_none_end_with_two(run, explain):
    store, _ = run
    code, _, said = explain(store, "")
    assert code == 2 and "Give more of the id." in said
    code, _, said = explain(store, "nobody")
    assert code == 2 and "begins with 'nobody'" in said and "arborist status" in said


def test_a_run_that_is_not_sealed_is_explained_too(explain):
    store = memory_store()
    run_scripted(store, make_spec(fanouts=(2, 1)))
    row = next(row for row in rows_of(store) if row["level"] == 2)
    for name in store.list("snapshots"):
        store.delete(name)
    code, out, _ = explain(store, row["node_id"], "--json")
    assert code == 0 and len(json.loads(out)["path"]) == 3


def test_what_a_refinement_left_out_is_said(explain):
    store = memory_store()
    run_scripted(store, make_spec(fanouts=(2, 1)))
    row = next(row for row in rows_of(store) if row["level"] == 1 and not row["drop_reason"])
    drop = {
        **{name: row[name] for name in ("node_id", "tree_id", "path")},
        "reason": "withdrawn",
        "round": 1,
    }
    snapshot = latest(store)
    drops = write_drops(
        store,
        pa.Table.from_pylist([drop], schema=DROP_SCHEMA),
        run_id=snapshot.run_id,
        number=snapshot.number + 1,
        attempt="a",
    )
    later = {"number": snapshot.number + 1, "drops": drops}
    seal_snapshot(store, snapshot.model_copy(update=later))
    assert (
        f"Left out of snapshot {snapshot.number + 1}: withdrawn"
        in explain(store, row["node_id"])[1]
    )


def test_a_row_whose_parent_is_gone_ends_with_one(explain):
    store = memory_store()
    run_scripted(store, make_spec(fanouts=(2, 1)))
    row = next(row for row in rows_of(store) if row["level"] == 2)
    store.delete(f"ledger/{row['tree_id']:06d}.json")
    code, _, said = explain(store, row["node_id"])
    assert code == 1 and "is not there" in said and "arborist repair" in said


@given(st.text())
def test_printable_texts_do_nothing_to_a_terminal(text):
    shown = printable(text)
    assert all(line.isprintable() for line in shown.split("\n"))
    assert not text.isprintable() or shown == text


def grown(**changes):
    """A sealed run, its rows, and the rows beside its trees."""
    store = memory_store()
    snapshot = run_scripted(store, make_spec(**changes))
    entries = [entry for entry in snapshot.shards if entry.table == "asides"]
    asides = [row for entry in entries for row in read_shard(store, entry).to_pylist()]
    return store, rows_of(store), asides


ANSWER = {"role": "assistant", "fanout": 2, "oversample": 2, "max_tokens": 60}
CRITIQUE = {"critique": "What is wrong with it?", "rewrite": "Write it again."}


@pytest.fixture(scope="module")
def criticised():
    levels = [{**ANSWER, "role": "user"}, {**ANSWER, "engine": "other", "critique": CRITIQUE}]
    judge = {"filter": "judge", "roles": ["assistant"], "min_score": 1}
    scripted = {"backend": "scripted", "scripted": {"mean_tokens": 40, "fail_share": 0.2}}
    return grown(
        trees=4,
        generation={
            "levels": levels,
            "turns": {},
            "curation": {"filters": ["empty", judge]},
            "models": {"other": {"name": "Another", "context": 4096}},
        },
        engines={"main": scripted, "other": scripted},
        max_failed_share=1.0,
    )


def test_a_turn_written_again_is_told_with_its_draft_critique_and_judgement(criticised, explain):
    store, rows, asides = criticised
    row = next(r for r in rows if r["origin"] == "rewritten" and not r["drop_reason"])
    own = {a["kind"]: a for a in asides if a["parent_id"] == row["node_id"]}
    assert set(own) == {"draft", "critique", "judge"}
    code, out, _ = explain(store, row["node_id"])
    assert code == 0 and "written again after a critique of its draft" in out
    assert "written by scripted" in out
    assert "written by Another (engine group other)" in explain(store, own["draft"]["node_id"])[1]
    flat = " ".join(out.split())
    for kind, name in (("draft", "draft"), ("critique", "critique"), ("judge", "judgement")):
        assert f"{name} {own[kind]['node_id'][:8]} {own[kind]['text']}" in flat
    story = json.loads(explain(store, row["node_id"], "--json")[1])
    assert [(a["kind"], a["text"]) for a in story["beside"]] == [
        (kind, own[kind]["text"]) for kind in ("draft", "critique", "judge")
    ]
    above = next(r for r in rows if r["node_id"] == row["parent_id"])
    assert f"1 user {above['text']}" in flat


BESIDE = {
    ("draft", None): "written again after a critique; node {about} stands in its place",
    ("critique", None): "in whose place node {about} stands",
    ("judge", None): "kept; it is about node {about}",
    ("critique", "failed:engine"): "gave no text (engine); it was about node {about}",
    ("rewrite", "failed:engine"): "gave no text (engine); the draft stays, node {about}",
}


@pytest.mark.parametrize(("kind", "reason"), BESIDE)
def test_rows_beside_a_turn_are_explained_by_their_own_ids(kind, reason, criticised, explain):
    store, rows, asides = criticised
    aside = next(a for a in asides if (a["kind"], a["drop_reason"]) == (kind, reason))
    turn = next(row for row in rows if row["node_id"] == aside["parent_id"])
    code, out, _ = explain(store, aside["node_id"])
    assert code == 0 and BESIDE[kind, reason].format(about=turn["node_id"]) in out
    assert f"{kind} beside the turn" in out
    story = json.loads(explain(store, aside["node_id"], "--json")[1])
    assert (story["node"]["kind"], story["node"]["text"]) == (kind, aside["text"])
    by_id = {row["node_id"]: row for row in rows}
    assert [t["node_id"] for t in story["path"]] == [*chain(by_id, turn), aside["node_id"]]
    assert (story["siblings"], story["children"]["asked"]) == ([], 0)
    others = [a["node_id"] for a in asides if a["parent_id"] == turn["node_id"]]
    assert sorted(a["node_id"] for a in story["beside"]) == sorted(others)


CHAT = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "What is one?"},
    {"role": "assistant", "content": "A number."},
    {"role": "user", "content": "And two?"},
]


def test_a_stand_in_is_told_with_its_row_and_what_fell(tmp_path, explain):
    tasks = tmp_path / "tasks.jsonl"
    tasks.write_text("".join(f"{json.dumps({'messages': CHAT, 'reference': 'More.'})}\n" * 8))
    store, rows, _ = grown(
        generation={
            "recipe": "self-distill",
            "roots": {"data": {}},
            "levels": [{**ANSWER, "fanout": 1}],
            "turns": {},
        },
        roots=str(tasks),
        scripted={"mean_tokens": 20, "empty_share": 0.3, "truncate_share": 0.4},
    )
    row = next(row for row in rows if row["level"] and row["origin"] == "given")
    fell = Counter(r["drop_reason"] for r in rows if same(r, row, "parent_id") and r["drop_reason"])
    code, out, _ = explain(store, row["node_id"])
    reasons = ", ".join(f"{count} {reason}" for reason, count in sorted(fell.items()))
    number = row["tree_id"] + 1
    assert code == 0 and f"the reference of row tasks.jsonl:{number} stands here, because " in out
    assert f"all of its 2 candidates fell: {reasons}" in out
    assert f"Siblings: 2 asked for, 0 kept, dropped {reasons}, 1 given" in out
    assert "written by" not in out
    flat = " ".join(out.split())
    frame = " ".join(f"{message['role']} {message['content']}" for message in CHAT)
    assert f"Grows from tasks.jsonl:{number} {frame} reference More." in flat
    assert "something else stood there" in flat
    story = json.loads(explain(store, row["node_id"], "--json")[1])
    assert (story["root"]["source"], story["root"]["reference"]) == (
        f"tasks.jsonl:{number}",
        "More.",
    )
    said = [{"role": m["role"], "content": m["text"]} for m in story["root"]["frame"]]
    assert (said, story["node"]["model"]) == (CHAT, None)
    root = json.loads(explain(store, row["parent_id"], "--json")[1])
    assert (root["children"]["asked"], root["children"]["given"]) == (2, 1)


def test_what_the_run_says_between_turns_is_told(explain):
    levels = [{**ANSWER, "say": "Name an area."}, {**ANSWER, "say": "Name one within it."}]
    generation = {"recipe": "topics", "roots": {"trees": 1}, "levels": levels, "turns": {}}
    store, rows, _ = grown(generation=generation, scripted={"mean_tokens": 20})
    row = next(row for row in rows if row["level"] == 2)
    flat = " ".join(explain(store, row["node_id"])[1].split())
    above = next(r for r in rows if r["node_id"] == row["parent_id"])
    assert "(nothing but what the template begins with)" in flat
    assert (
        f"Path 1 (asked) Name an area. 1 assistant {above['text']} "
        f"2 (asked) Name one within it. > 2 assistant {row['text']}"
    ) in flat


def test_a_tree_without_its_root_ends_with_one(explain):
    store = memory_store()
    run_scripted(store, make_spec(fanouts=(2, 1)))
    row = next(row for row in rows_of(store) if row["level"] == 1)
    for name in store.list("ledger"):
        manifest = json.loads(store.read(name))
        manifest["shards"] = [s for s in manifest["shards"] if s["table"] != "roots"]
        del manifest["digest"]
        store.delete(name)
        store.create(name, Manifest.model_validate(manifest).to_bytes())
    code, _, said = explain(store, row["node_id"])
    assert code == 1 and "below roots/" in said
