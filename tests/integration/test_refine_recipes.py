"""Refinement of runs by every kind of root and turn, and of runs that a budget ended."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jobs.cli import main
from pipeline.curate.shingles import shingles
from pipeline.curate.signature import signatures
from pipeline.pool.tasks import LocalTasks
from pipeline.refine.loop import Asked, Origin, refine
from pipeline.storage.drops import read_drops
from pipeline.storage.open import find_run
from pipeline.storage.runs import open_run
from pipeline.storage.shards import read_shard
from pipeline.storage.snapshots import latest, snapshot_numbers
from pipeline.storage.store import Store
from schemas.execution_spec import RunSpec
from schemas.feature_table import from_feature_table
from schemas.manifest import Snapshot
from schemas.refine_spec import RefineSpec
from tests.builders import (
    defects_of,
    make_spec,
    memory_store,
    rows_of,
    run_scripted,
    write_spec,
)

Row = dict[str, Any]

REPEATING = {"mean_tokens": 20, "duplicate_share": 0.5}
"""Half of all turns say the same, so every other tree says it."""
QUESTIONS = ["What is a river?", "What is bread?", "Why?"]


def grown(recipe: str, levels: list[dict], **changes: Any) -> tuple[Store, Snapshot]:
    """A whole run of a method."""
    store = memory_store()
    return store, run_scripted(store, spec_of(recipe, levels, **changes))


def spec_of(recipe: str, levels: list[dict], **changes: Any) -> RunSpec:
    generation = {"recipe": recipe, "levels": levels, "turns": {}, **changes.pop("generation", {})}
    settings = {"bounds": (2, 40), "scripted": REPEATING, "generation": generation}
    return make_spec(**(settings | changes))


def refined(store: Store, **spec: Any) -> tuple[Snapshot, dict[str, Row], list[str]]:
    """The latest snapshot refined, its drop list by node, and what was said meanwhile."""
    before = latest(store)
    assert before is not None
    said: list[str] = []
    snapshot = refine(
        [Origin(store, open_run(store), before)],
        Asked(RefineSpec(**spec)),
        LocalTasks(),
        attempt="r",
        note=said.append,
    )
    assert defects_of(store) == []
    drops = read_drops(store, snapshot.drops).to_pylist() if snapshot.drops else []
    return snapshot, {row["node_id"]: row for row in drops}, said


def kept_of(store: Store) -> list[Row]:
    return [row for row in rows_of(store) if row["drop_reason"] is None]


def data_of(folder: Path, rows: list[dict]) -> str:
    file = folder / "rows.jsonl"
    file.write_text("\n".join(map(json.dumps, rows)))
    return str(file)


def level(role: str, fanout: int, **settings: Any) -> dict:
    return {"role": role, "fanout": fanout, "max_tokens": 100, "oversample": 1.0, **settings}


def test_refine_continuations_of_texts_are_conversations_and_no_user_turns():
    store, _ = grown("tg-pt", [level("text", 4), level("text", 2)], trees=6, generation=NO_TOPICS)
    kept = {row["node_id"]: row for row in kept_of(store)}
    texts = [row["text"] for row in kept.values() if row["level"]]
    assert len(texts) > len(set(texts))
    assert refined(store, scopes=["turns"])[1] == {}
    _, dropped, _ = refined(store, scopes=["conversations"], duplicates="exact")
    ends = [row for row in dropped.values() if row["reason"] == "conversation"]
    assert ends
    for row in ends:
        keeper = kept[row["keeper_id"]]
        assert whole_path(kept, keeper) == whole_path(kept, kept[row["node_id"]])
    _, dropped, _ = refined(store)
    assert "duplicate" in {row["reason"] for row in dropped.values()}
    openings = [row["text"] for row in kept_of(store) if row["level"] == 1]
    assert len(openings) == len(set(openings)) > 0
    assert sum(row["level"] == 0 for row in kept_of(store)) == 6


NO_TOPICS: dict[str, Any] = {"roots": {"trees": 6}}


def whole_path(kept: dict[str, Row], row: Row) -> list[str]:
    above = kept[row["parent_id"]]
    return [*(whole_path(kept, above) if above["level"] else []), row["text"].strip()]


@pytest.fixture
def asked_twice(tmp_path: Path) -> str:
    """Three questions, then the same again; the last is another one after other messages."""
    frames = [[{"role": "user", "content": text}] for text in QUESTIONS]
    said = [{"role": "user", "content": "Go."}, {"role": "assistant", "content": "No."}]
    frames += [*frames[:2], [*said, *frames[2]]]
    return data_of(tmp_path, [{"messages": frame} for frame in frames])


def test_refine_same_answer_to_another_prompt_stays(asked_twice):
    store, _ = grown(
        "contextual",
        [level("assistant", 12)],
        generation={"roots": {"data": {}, "trees": None}},
        roots=asked_twice,
    )
    before = kept_of(store)
    prompts = [json.dumps(messages) for messages in messages_of(store)]
    common = max((row["text"] for row in before if row["level"]), key=saying(before))
    assert saying(before)(common) == len(prompts) == 6
    _, dropped, said = refined(store)
    assert [line for line in said if "answer prompts" in line]
    assert {drop["reason"] for drop in dropped.values()} == {"conversation"}
    by_id = {row["node_id"]: row for row in before}
    for node, drop in dropped.items():
        keeper = by_id[drop["keeper_id"]]
        assert prompts[keeper["tree_id"]] == prompts[by_id[node]["tree_id"]]
    after = kept_of(store)
    assert saying(after)(common) == len(set(prompts)) == 4
    again, _, _ = refined(store)
    assert again.number == 2


def messages_of(store: Store) -> list[Any]:
    """By tree, what it grows from."""
    snapshot = latest(store)
    assert snapshot is not None
    tables = [read_shard(store, entry) for entry in snapshot.shards if entry.table == "roots"]
    return [row["messages"] for table in tables for row in table.to_pylist()]


def saying(rows: list[Row]) -> Callable[[str], int]:
    """How many rows say a text."""
    return lambda text: sum(row["text"] == text for row in rows if row["level"])


def test_refine_references_that_stand_in_fall_for_the_very_same_only(tmp_path):
    alike = "It lies on a river where roads meet, and so it grew, as such towns do in the end"
    rows = [{"question": text, "answer": f"{alike}."} for text in QUESTIONS]
    rows += [{**rows[0]}, {**rows[1], "answer": f"{alike} too."}]
    store, snapshot = grown(
        "self-distill",
        [level("assistant", 1)],
        generation={"roots": {"data": {}, "trees": None}},
        scripted={"mean_tokens": 20, "empty_share": 1.0},
        roots=data_of(tmp_path, rows),
    )
    assert snapshot.counts.given == 5
    given = {row["node_id"]: row["tree_id"] for row in rows_of(store) if row["origin"] == "given"}
    _, dropped, _ = refined(store, threshold=0.7)
    assert {given[node]: given[row["keeper_id"]] for node, row in dropped.items()} == {3: 0}


def test_refine_rewritten_answers_are_compared_by_what_they_became():
    critique = {"critique": "What is wrong with it?", "rewrite": "Write it again."}
    store, snapshot = grown(
        "tg-sft",
        [level("user", 4), level("assistant", 2, critique=critique)],
        scripted={"mean_tokens": 20},
    )
    rewritten = {r["node_id"]: r for r in rows_of(store) if r["origin"] == "rewritten"}
    stored = {}
    for entry in snapshot.shards:
        if entry.table == "features":
            ids, found, _ = from_feature_table(read_shard(store, entry))
            stored |= dict(zip(ids, found, strict=True))
    assert snapshot.counts.asides["draft"] == len(rewritten) > 0
    texts = [shingles(row["text"], "assistant") for row in rewritten.values()]
    assert np.array_equal([stored[node] for node in rewritten], signatures(texts))


CONTEXT_FREE = spec_of(
    "context-free", [level("text", 6)], trees=6, generation={"roots": {"trees": 6}}
)


def with_budget(spec: RunSpec, **budget: float) -> RunSpec:
    execution = spec.execution.model_dump() | {"budget": budget}
    return spec.model_copy(update={"execution": type(spec.execution).model_validate(execution)})


def test_refined_context_free_run_claims_no_fair_sample_any_more():
    store = memory_store()
    partial = run_scripted(store, with_budget(CONTEXT_FREE, nodes=1))
    assert (partial.complete, partial.biases) == (False, ())
    snapshot, dropped, _ = refined(store)
    assert len(dropped) > 0
    assert snapshot.biases == ("drop list",)
    whole = run_scripted(store, CONTEXT_FREE, "second")
    assert (whole.number, whole.complete) == (3, True)
    assert (whole.biases, whole.drops) == (("drop list",), snapshot.drops)
    assert defects_of(store) == []


def told(capsys: pytest.CaptureFixture[str], *argv: object) -> str:
    capsys.readouterr()
    assert main([str(word) for word in argv]) == 0
    return capsys.readouterr().out


def test_refine_partial_run_continued_to_its_end_and_refined_again(tmp_path, capsys):
    runs = tmp_path / "runs"

    def spec_file(**budget: float) -> Path:
        spec = make_spec(
            trees=6,
            fanouts=(6, 2),
            bounds=(1, 40),
            scripted=REPEATING,
            location=str(runs),
            budget=budget,
        )
        return write_spec(spec, tmp_path / "spec.yaml")

    def figures(*argv: object) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(told(capsys, *argv, "--json"))
        return found

    told(capsys, "generate", spec_file(nodes=40))
    first = figures("refine", runs, "--threshold", "0.9")
    assert (first["snapshot"], first["complete"], first["new"]) == (2, False, True)
    assert first["dropped"]["duplicate"] > 0
    said = told(capsys, "refine", runs, "--threshold", "0.9")
    assert "Snapshot 2 is partial: `arborist generate` continues the run" in said

    told(capsys, "generate", spec_file(nodes=90))
    told(capsys, "generate", spec_file())
    store = find_run(str(runs))
    whole = latest(store)
    assert whole is not None and whole.complete
    assert (whole.number, whole.refined_from) == (4, 1)
    early = {row["node_id"] for row in read_drops(store, whole.drops).to_pylist()}
    assert len(early) == sum(first["dropped_in_all"].values())
    assert not early & {row["node_id"] for row in kept_of(store)}
    told(capsys, "verify", runs)

    last = figures("refine", runs)
    assert (last["refined"], last["snapshot"], last["complete"]) == (4, 5, True)
    assert last["dropped"]["duplicate"] > 0
    assert "is partial" not in told(capsys, "refine", runs)
    rows = [row for row in kept_of(store) if row["level"] == 1]
    assert {row["tree_id"] for row in rows} == set(range(6))
    assert len({row["text"] for row in rows}) == len(rows)
    assert not early & {row["node_id"] for row in kept_of(store)}
    told(capsys, "verify", runs)
    assert snapshot_numbers(store) == [1, 2, 3, 4, 5]
