"""Specs that nobody should have written."""

import functools
from pathlib import Path

import yaml
from hypothesis import given
from hypothesis import strategies as st

import tests.fuzz.conftest  # noqa: F401
from jobs.plan import plan_of
from jobs.spec_file import load_spec
from tests.command import REPOSITORY
from tests.fuzz.mutations import HOSTILE, NOT_JSON, damaged, mutated
from tests.fuzz.outcomes import fuzzed, refusal

FILES = sorted((REPOSITORY / "jobs" / "specs").glob("**/*.yaml"))


@functools.cache
def content_of(file: Path):
    return yaml.safe_load(file.read_text())


def as_planned(file: Path):
    spec = load_spec(str(file))
    plan_of(spec)


def tried(tmp_path, kind: str, text: str | bytes):
    file = tmp_path / "spec.yaml"
    file.write_bytes(text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text)
    return refusal(kind, lambda: as_planned(file))


@fuzzed
@given(data=st.data())
def test_spec_mutated_is_planned_or_refused(tmp_path_factory, data):
    tree = data.draw(mutated(content_of(data.draw(st.sampled_from(FILES))), HOSTILE + NOT_JSON))
    tried(tmp_path_factory.getbasetemp(), "spec: mutated", yaml.safe_dump(tree))


@fuzzed
@given(data=st.data())
def test_spec_damaged_is_planned_or_refused(tmp_path_factory, data):
    payload = data.draw(damaged(data.draw(st.sampled_from(FILES)).read_bytes()))
    tried(tmp_path_factory.getbasetemp(), "spec: damaged bytes", payload)


anything = st.recursive(
    st.sampled_from(HOSTILE + NOT_JSON) | st.text() | st.integers() | st.floats() | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.integers(), inner),
    max_leaves=20,
)


@fuzzed
@given(content=anything, generation=anything)
def test_spec_of_any_structure_is_refused(tmp_path_factory, content, generation):
    for tree in (content, {"generation": generation, "execution": content}):
        assert tried(tmp_path_factory.getbasetemp(), "spec: random", yaml.safe_dump(tree))
