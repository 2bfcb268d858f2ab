"""A recipe of one's own whose rules ask for more than its spec says: it is asked and shown."""

import sys
from pathlib import Path
from typing import Any

import pytest

from jobs.export_rows import View, message_row, walks
from jobs.wiring import open_run_value, resolve, used_groups
from pipeline.storage.runs import open_run
from pipeline.storage.shards import read_shard
from pipeline.storage.store import Store
from schemas.errors import SpecError
from schemas.execution_spec import RunSpec
from schemas.manifest import Snapshot
from tests.builders import defects_of, make_spec, memory_store, rows_of, run_scripted

SOURCE = '''\
from dataclasses import replace

from pipeline.recipes import Method
from schemas.curation_spec import JudgeSpec
from schemas.generation_spec import CritiqueSpec


class Interview(Method):
    """One level more than the spec has, each asked, judged and written again by the rules alone."""

    name = "interview"

    def num_levels(self, spec):
        return len(spec.levels) + 1

    def expands(self, spec, opening, level):
        return level <= len(spec.levels)

    def continuing(self, spec, level):
        return float(level <= len(spec.levels))

    def frame(self, spec, rows, level):
        return super().frame(spec, rows, min(level, len(spec.levels)))

    def rule(self, spec, level):
        rule = super().rule(spec, min(level, len(spec.levels)))
        if level <= len(spec.levels):
            return rule
        judge = JudgeSpec(question="Is it true? From 1 to 5.", engine="critic")
        critique = CritiqueSpec(critique="What lacks?", rewrite="Again.", engine="editor")
        return replace(
            rule, group="last", say="One thing more.", judge=judge, critique=critique
        )
'''
GROUPS = ("main", "last", "critic", "editor")


@pytest.fixture
def recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Its import path."""
    name = f"interview_{tmp_path.name.replace('-', '_')}"
    (tmp_path / f"{name}.py").write_text(SOURCE)
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path)])
    return f"{name}:Interview"


def make(recipe: str, groups: tuple[str, ...] = GROUPS, **generation: Any) -> RunSpec:
    """Two levels in the spec, and a model of its own for the critic."""
    other = {"name": "other", "context": 4096}
    models = {"models": {"critic": other}} if "critic" in groups else {}
    engine = {"backend": "scripted", "scripted": {"mean_tokens": 20}}
    return make_spec(
        fanouts=(2, 1),
        generation={"recipe": recipe, **models, **generation},
        engines=dict.fromkeys(groups, engine),
    )


def grown(spec: RunSpec) -> tuple[Store, Snapshot]:
    store = memory_store()
    return store, run_scripted(store, spec)


def test_rules_decide_which_groups_are_asked_and_what_is_said(recipe):
    spec = make(recipe)
    assert tuple(used_groups(spec)) == tuple(sorted(GROUPS))
    resolved = resolve(spec)
    [said] = resolved.run_file.phrases
    assert set(said) == {"One thing more.", "Is it true? From 1 to 5.", "What lacks?", "Again."}
    assert resolved.run_file.tongues == (0, 0)


def test_run_by_rules_of_ones_own_is_grown_verified_and_shown(recipe):
    store, snapshot = grown(make(recipe))
    assert defects_of(store) == []
    last = [row for row in rows_of(store) if row["level"] == 3 and row["drop_reason"] is None]
    assert last and {row["origin"] for row in last} == {"rewritten"}
    beside = [entry for entry in snapshot.shards if entry.table == "asides"]
    asides = [row for entry in beside for row in read_shard(store, entry).to_pylist()]
    kinds = {(row["kind"], row["model_index"]) for row in asides}
    assert kinds == {("draft", 0), ("critique", 0), ("judge", 1)}
    scored = [{score["name"]: score["value"] for score in row["scores"]} for row in last]
    assert all(1 <= scores["judge"] <= 5 for scores in scored)
    view = View.of(open_run_value(open_run(store)))
    for root, walk in walks(store, snapshot):
        messages = [m["content"] for m in message_row(view, root, walk)["messages"]]
        assert messages[-2] == "One thing more." and len(walk.path) == 4


def test_rules_that_ask_an_unknown_group_are_refused_by_its_name(recipe):
    spec = make(recipe, groups=("main", "last", "critic"))
    with pytest.raises(SpecError, match=r"asks the engine group editor, expected one of .*critic"):
        resolve(spec)


def test_rules_that_leave_a_model_without_work_are_refused(recipe):
    spec = make(recipe)
    model = spec.generation.model
    idle = spec.generation.model_copy(update={"models": {"idle": model}})
    with pytest.raises(SpecError, match=r"generation.models: nothing is written by idle"):
        resolve(spec.model_copy(update={"generation": idle}))
