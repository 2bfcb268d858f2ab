"""Every method as a whole run: the packaged specs, resumes, stand-ins, several models."""

from collections import Counter
from pathlib import Path
from statistics import mean
from typing import Any

import pytest
import yaml

from jobs.cli import main
from jobs.spec_file import parse_spec
from jobs.wiring import rehearsal, resolve
from pipeline.recipes import RECIPES
from pipeline.storage.ledger import Ledger
from pipeline.storage.open import open_store
from pipeline.storage.shards import read_shard
from schemas.errors import Interrupted, SpecError
from schemas.execution_spec import RunSpec
from schemas.manifest import Snapshot
from tests.architecture.source import REPOSITORY
from tests.builders import (
    ODD,
    Bystander,
    assert_whole,
    defects_of,
    make_spec,
    memory_store,
    rows_of,
    run_scripted,
)
from tests.packaged import specs_with

FOLDER = REPOSITORY / "jobs" / "specs"
SPECS = specs_with("generation")
TOPICS, OF_TOPICS = FOLDER / "topics.yaml", FOLDER / "balance-topics.yaml"
DATA = FOLDER / "data" / "everyday.jsonl"

Row = dict[str, Any]


def small(file: Path, **execution: Any) -> RunSpec:
    """A packaged spec as a rehearsal of a few trees with a few children each."""
    content = yaml.safe_load(file.read_text("utf-8"))
    generation = content["generation"]
    for level in generation["levels"]:
        level["fanout"] = min(level.get("fanout", 1), 3)
        level["max_tokens"] = 100
    generation["model"]["context"] = max(generation["model"]["context"], 1024)
    if "trees" in generation.get("roots", {}):
        generation["roots"]["trees"] = min(generation["roots"]["trees"], 3)
    for group in content["execution"]["engines"].values():
        group["scripted"] = {"mean_tokens": 20}
    content["execution"].update(execution)
    return rehearsal(parse_spec(content, name=str(file)))


def grown(spec: RunSpec, location: str | None = None) -> tuple[list[Row], Snapshot]:
    """All rows of a run that has no defect."""
    store = memory_store() if location is None else open_store(location)
    snapshot = run_scripted(store, spec)
    assert defects_of(store) == []
    return rows_of(store), snapshot


@pytest.mark.parametrize(
    "file", [file for file in SPECS if file != OF_TOPICS], ids=lambda f: str(f.relative_to(FOLDER))
)
def test_packaged_spec_grows_to_its_last_level(file, monkeypatch):
    """Where dialogues have several lengths, the longest there is by chance is whole."""
    monkeypatch.chdir(REPOSITORY)
    spec = small(file)
    rows, snapshot = grown(spec)
    levels, turns = spec.generation.levels, spec.generation.turns
    deepest = max(row["level"] for row in rows if row["drop_reason"] is None)
    assert snapshot.complete and deepest in ({2 * n for n in turns} or {len(levels)})
    roles = {(row["level"], row["role"]) for row in rows if row["level"]}
    assert roles == {(n, level.role) for n, level in enumerate(levels[:deepest], start=1)}


def test_packaged_specs_show_every_recipe_on_gpus_and_on_this_machine():
    used = {file: yaml.safe_load(file.read_text("utf-8"))["generation"]["recipe"] for file in SPECS}
    assert set(RECIPES) == {recipe for file, recipe in used.items() if file.parent == FOLDER}
    assert set(RECIPES) == {recipe for file, recipe in used.items() if file.parent.name == "cpu"}


def test_topics_sealed_run_is_what_trees_of_another_run_grow_from(tmp_path):
    topics, _ = grown(small(TOPICS), str(tmp_path))
    kept = [row for row in topics if row["drop_reason"] is None and row["level"] == 3]
    spec = small(OF_TOPICS, roots=str(tmp_path))
    assert spec.generation.roots.trees == 3
    rows, _ = grown(spec)
    roots = [row for row in rows if row["level"] == 0]
    assert [row["role"] for row in roots] == ["system"] * 3
    for root, topic in zip(roots, kept[:3], strict=True):
        assert root["text"].endswith(f"The conversation is about {topic['text']}.")
    assert {row["level"] for row in rows} == {0, 1, 2, 3, 4}


def method_spec(recipe: str, levels: list[dict], **changes: Any) -> RunSpec:
    """A small run of a method on the packaged questions, in waves of a few turns."""
    generation = {"recipe": recipe, "levels": levels, "turns": {}, **changes.pop("generation", {})}
    settings = {"bounds": (4, 8), "roots": str(DATA), "generation": generation}
    return make_spec(**(settings | changes))


def rows_spec(limit: int = 12, trees: int | None = None) -> dict:
    return {"data": {"limit": limit}, "trees": trees}


ANSWER = {"role": "assistant", "max_tokens": 100}
QUESTION = {"role": "user", "max_tokens": 100}
CRITIQUE = {"critique": "What is wrong with it?", "rewrite": "Write it again."}


def contextual(**changes: Any) -> RunSpec:
    return method_spec(
        "contextual", [{**ANSWER, "fanout": 3}], generation={"roots": rows_spec()}, **changes
    )


def critique(**changes: Any) -> RunSpec:
    levels = [{**QUESTION, "fanout": 4}, {**ANSWER, "fanout": 2, "critique": CRITIQUE}]
    return method_spec("tg-sft", levels, **changes)


def rehearsed(**changes: Any) -> RunSpec:
    levels = [{**QUESTION, "fanout": 2}, {**ANSWER, "fanout": 1}]
    roots = {"roots": {**rows_spec(trees=8), "examples": 2}}
    return method_spec("rehearsal", levels, generation=roots, **changes)


def distilled(**changes: Any) -> RunSpec:
    """Most answers fall, so references stand in."""
    falling = {**ODD, "empty_share": 0.5, "duplicate_share": 0.0}
    generation = {"roots": rows_spec(24)}
    return method_spec("self-distill", [ANSWER], generation=generation, scripted=falling, **changes)


@pytest.mark.parametrize("make", [contextual, critique, rehearsed, distilled])
def test_run_killed_after_any_wave_and_resumed_has_equal_rows(make):
    spec, whole = make(), memory_store()
    run_scripted(whole, spec)
    expected, waves = rows_of(whole), len(Ledger(whole).all())
    assert waves > 2
    for stopped_after in range(waves):
        store = memory_store()
        with pytest.raises(Interrupted):
            run_scripted(store, spec, "first", Bystander(stop_after=stopped_after))
        assert len(Ledger(store).all()) >= stopped_after
        run_scripted(store, spec, "second")
        assert_whole(store, expected, f"stopped after {stopped_after} waves")


def test_self_distill_references_stand_in_where_no_answer_is_kept():
    rows, snapshot = grown(distilled())
    answers = [row for row in rows if row["level"] == 1]
    given = [row for row in answers if row["origin"] == "given"]
    kept = {row["tree_id"] for row in answers if row["drop_reason"] is None}
    own = {
        row["tree_id"] for row in answers if row["origin"] == "sampled" and not row["drop_reason"]
    }
    assert kept == set(range(24)) and {row["tree_id"] for row in given} == kept - own
    assert 8 < len(given) < 24
    counts = snapshot.counts
    assert (counts.asked, counts.kept, counts.given) == (24, len(own), len(given))
    references = {yaml.safe_load(line)["answer"] for line in DATA.read_text("utf-8").splitlines()}
    assert {row["text"] for row in given} <= references
    assert all(row["finish_reason"] == "" and row["logprob_sum"] is None for row in given)


def test_self_distill_share_of_references_is_shown(tmp_path, capsys):
    spec = distilled(location=str(tmp_path / "runs"))
    file = tmp_path / "spec.yaml"
    file.write_text(yaml.safe_dump(spec.model_dump(mode="json")))
    assert main(["generate", str(file), "--engine", "scripted"]) == 0
    _, snapshot = grown(spec)
    assert (
        f"references that stand in for an answer: {snapshot.counts.given}"
        in capsys.readouterr().out
    )
    assert main(["status", str(tmp_path / "runs")]) == 0
    said = f"reference kept for {snapshot.counts.given} of 24 prompts"
    assert said in capsys.readouterr().out


def test_critique_rewritten_answers_take_the_place_of_drafts_that_lie_beside():
    rows, snapshot = grown(critique(scripted={"mean_tokens": 20, "sigma": 0}))
    answers = [row for row in rows if row["level"] == 2]
    assert {row["origin"] for row in answers} == {"rewritten"}
    assert snapshot.counts.asides["critique"] == snapshot.counts.asides["draft"] == len(answers)


def test_several_models_write_and_judge_one_run():
    """Users by one group, assistants by another, and a third judges; two have their own models."""
    levels = [
        {**QUESTION, "fanout": 3, "engine": "asker"},
        {**ANSWER, "fanout": 2, "engine": "main"},
        {**QUESTION, "fanout": 1, "engine": "asker"},
        {**ANSWER, "fanout": 1, "engine": "main"},
    ]
    judge = {"filter": "judge", "roles": ["assistant"], "engine": "critic", "min_score": 2}
    other = {"name": "other", "context": 4096}
    spec = make_spec(
        trees=3,
        generation={
            "levels": levels,
            "models": {"asker": other, "critic": other},
            "curation": {"filters": ["empty", judge]},
        },
        engines={
            name: {"backend": "scripted", "scripted": {"mean_tokens": tokens}}
            for name, tokens in {"main": 60, "asker": 15, "critic": 20}.items()
        },
    )
    store = memory_store()
    snapshot = run_scripted(store, spec)
    assert defects_of(store) == []
    rows = rows_of(store)
    wrote = Counter((row["role"], row["model_index"]) for row in rows if row["level"])
    # By name of their groups, after the run's first model.
    assert set(wrote) == {("user", 1), ("assistant", 0)}
    tokens = {role: [r["num_tokens"] for r in rows if r["role"] == role] for role, _ in wrote}
    assert mean(tokens["user"]) < mean(tokens["assistant"]) / 2
    beside = [entry for entry in snapshot.shards if entry.table == "asides"]
    asides = [row for entry in beside for row in read_shard(store, entry).to_pylist()]
    assert {(row["kind"], row["model_index"]) for row in asides} == {("judge", 2)}
    judged = {row["parent_id"] for row in asides}
    assert judged == {row["node_id"] for row in rows if row["role"] == "assistant" and row["text"]}


def test_rows_without_a_reference_are_counted_and_beyond_a_share_refused(tmp_path):
    """Nobody is shown an answer that is not there."""
    file = tmp_path / "rows.jsonl"
    lines = DATA.read_text("utf-8").splitlines()
    file.write_text("\n".join(['{"question": "What flies?"}', *lines]))

    def spec(share: float) -> RunSpec:
        roots = {"roots": {"data": {"max_bad_share": share}}}
        return method_spec("self-distill", [ANSWER], generation=roots, roots=str(file))

    run_file = resolve(spec(0.05)).run_file
    assert (run_file.rows.good, run_file.rows.bad) == (24, 1)
    assert run_file.rows.examples[0].where == "rows.jsonl:1"
    rows, _ = grown(spec(0.05))
    assert "What flies?" not in {row["text"] for row in rows if row["level"] == 0}
    with pytest.raises(SpecError, match=r"rows.jsonl:1: no reference, which recipe self-distill"):
        grown(spec(0.01))


def test_rows_of_a_run_have_no_reference_to_be_shown(tmp_path):
    grown(critique(), str(tmp_path))
    spec = method_spec(
        "self-distill",
        [ANSWER],
        generation={"roots": {"data": {"level": 1}}},
        roots=str(tmp_path),
    )
    with pytest.raises(SpecError, match=r"nothing can grow from any .* no reference"):
        grown(spec)


def test_a_wave_of_stand_ins_alone_is_sound():
    spec = distilled(max_failed_share=1.0)
    lost = {name: 0.0 for name in ODD if name.endswith("_share")} | {"fail_share": 1.0}
    group = spec.execution.engines["main"].model_copy(update={"scripted": lost})
    execution = spec.execution.model_copy(update={"engines": {"main": group}})
    _, snapshot = grown(spec.model_copy(update={"execution": execution}))
    assert (snapshot.counts.given, snapshot.counts.kept) == (24, 0)
