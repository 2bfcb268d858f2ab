"""The run id: everything that decides rows, and nothing else."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.execution_spec import ExecutionSpec, RunSpec
from schemas.fingerprint import Identity, ModelIdentity, run_id
from schemas.generation_spec import GenerationSpec
from tests.unit.samples import make_spec

MODEL = {name: name for name in ModelIdentity.model_fields}
IDENTITY = Identity.model_validate(
    {"models": [MODEL], "recipe": "tg-sft 1", "roots": "", "curation": {"a": "1"}}
)
SPEC = make_spec((3, 2, 2, 1), turns={1: 1.0, 2: 3.0}).model_dump(mode="json")

OTHER: dict[str, Any] = {
    "seed": 1,
    "guarantee": "none",
    "logprobs": "tokens",
    "turns.1": 2.0,
    "model.name": "other",
    "model.dtype": "bfloat16",
    "model.quantization": "fp8",
    "model.context": 4096,
    "roots.trees": 3,
    "roots.topics.0.text": "birds",
    "roots.topics.0.weight": 5.0,
    "roots.topics": [{"text": "cats", "weight": 1.0}],
    "levels.0.fanout": 4,
    "levels.1.oversample": 3.0,
    "levels.2.max_tokens": 201,
    "levels.3.temperature": 0.5,
    "levels.0.top_p": 0.5,
    "levels.0.top_k": 5,
    "levels.0.min_p": 0.5,
    "levels.0.repetition_penalty": 1.5,
    "levels.0.stop": ["\n"],
    "levels.0.engine": "other",
    "levels.0.ignore_eos": True,
    "levels.0.system": "Be brief.",
    "levels.0.shown": "{text}?",
    "levels.1.say": "Go on.",
    "levels.1.critique": {"critique": "What is wrong?", "rewrite": "Again."},
    "models": {"other": {"name": "second", "context": 4096}},
    "roots": {"trees": 2, "data": {}},
    "roots.examples": 2,
    "top_logprobs": 5,
    "curation.filters": ["truncated", "empty"],
    "curation.filters.0": {"filter": "empty", "roles": ["user"]},
    "curation.filters.1": {"filter": "length", "max_chars": 500},
    "curation.duplicates": "keep",
    "curation.near_threshold": 0.9,
    "curation.diversity": None,
    "curation.diversity.weight": 0.7,
    "curation.diversity.query": "topic",
    "curation.diversity.max_cosine": 0.9,
    "bounds.trees_per_cohort": 2,
    "bounds.candidates_per_wave": 100,
}
NOT_ALONE = {
    "recipe",
    "roots.data",
    "levels.role",
    "curation.filters.filter",
    "curation.filters.roles",
}
"""Fields that are changed with others only."""


def with_value(content: Any, where: str, value: Any) -> Any:
    changed = json.loads(json.dumps(content))
    *above, last = where.split(".")
    inner = changed
    for part in above:
        inner = inner[int(part) if isinstance(inner, list) else part]
    inner[int(last) if isinstance(inner, list) else last] = value
    return changed


def id_of(content: Any, identity: Identity = IDENTITY) -> str:
    return run_id(GenerationSpec.model_validate(content), identity)


@pytest.mark.parametrize("where", OTHER)
def test_run_id_changes_with_every_field_of_the_generation(where):
    changed = id_of(with_value(SPEC, where, OTHER[where]))
    assert changed != id_of(SPEC)


def leaves(content: Any, prefix: str = "") -> set[str]:
    if isinstance(content, dict):
        return {leaf for key, value in content.items() for leaf in leaves(value, f"{prefix}.{key}")}
    if isinstance(content, list) and content and isinstance(content[0], dict):
        return {leaf for value in content for leaf in leaves(value, prefix)}
    return {prefix.lstrip(".")}


def test_every_field_of_the_generation_is_tried():
    without_indices = {
        ".".join(part for part in where.split(".") if part == "1" or not part.isdigit())
        for where in OTHER
    }
    tried = without_indices | {w.replace("levels.1.", "levels.") for w in without_indices}
    assert leaves(SPEC) - {"turns.2"} <= tried | NOT_ALONE


@pytest.mark.parametrize("field", list(Identity.model_fields))
def test_run_id_changes_with_every_part_of_the_identity(field):
    other = {"curation": {"a": "2"}, "models": (ModelIdentity(**MODEL),) * 2}.get(field, "other")
    assert id_of(SPEC, IDENTITY.model_copy(update={field: other})) != id_of(SPEC)


@pytest.mark.parametrize("field", list(ModelIdentity.model_fields))
def test_run_id_changes_with_every_part_of_a_model(field):
    other = Identity.model_validate(IDENTITY.model_dump() | {"models": [MODEL | {field: "other"}]})
    assert id_of(SPEC, other) != id_of(SPEC)


@given(st.data())
def test_run_id_does_not_depend_on_the_order_of_keys(data):
    def shuffled(value: Any) -> Any:
        if isinstance(value, dict):
            keys = data.draw(st.permutations(sorted(value)))
            return {key: shuffled(value[key]) for key in keys}
        return [shuffled(item) for item in value] if isinstance(value, list) else value

    assert id_of(shuffled(SPEC)) == id_of(SPEC)


@given(
    st.fixed_dictionaries(
        {"location": st.text(min_size=1)},
        optional={
            "pool": st.sampled_from(["local", "ray"]),
            "waves_in_flight": st.integers(1, 9),
            "attempts": st.integers(1, 9),
            "stall_s": st.floats(1, 100),
            "storage_options": st.dictionaries(st.sampled_from("abc"), st.integers()),
        },
    )
)
def test_run_id_never_depends_on_the_execution(execution):
    spec = RunSpec(
        generation=GenerationSpec.model_validate(SPEC),
        execution=ExecutionSpec.model_validate(execution),
    )
    assert run_id(spec.generation, IDENTITY) == id_of(SPEC)


def test_run_id_never_changes_between_versions():
    assert id_of(SPEC) == "5f6634e672d91c9d"
