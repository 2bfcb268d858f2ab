"""The story of a node: of every row of a run, against what is stored."""

import json
from collections import Counter, defaultdict

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.cli import main
from jobs.explain_text import printable
from pipeline.storage.drops import write_drops
from pipeline.storage.snapshots import latest, seal_snapshot
from schemas.drop_list import DROP_SCHEMA
from tests.builders import ODD, make_spec, memory_store, rows_of, run_scripted

CURATION = {
    "filters": [
        *("empty", "truncated", "role_leak"),
        {"filter": "length", "max_chars": 60, "roles": ["user"]},
        {"filter": "length", "max_chars": 50, "roles": ["assistant"]},
    ],
    "near_threshold": 0.7,
    "diversity": {"max_cosine": 0.15},
}


@pytest.fixture(scope="module")
def run():
    """A sealed run in which turns fall for many reasons, and its rows."""
    store = memory_store()
    habits = {**ODD, "mean_tokens": 60}
    spec = make_spec(
        fanouts=(8, 6, 3),
        trees=4,
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
    assert f"cosine {row['similarity']:.3f} >= 0.15" in explain(store, row["node_id"])[1]


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
    assert code == 1 and row["parent_id"] in said


@given(st.text())
def test_printable_texts_do_nothing_to_a_terminal(text):
    shown = printable(text)
    assert all(line.isprintable() for line in shown.split("\n"))
    assert not text.isprintable() or shown == text
