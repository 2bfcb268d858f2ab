"""Spec files: read, or refused with the key, what was found and what was expected."""

from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jobs.spec_file import load_spec
from schemas.engine_group_spec import EngineGroupSpec
from schemas.errors import SpecError
from schemas.execution_spec import ExecutionSpec, RunSpec
from schemas.generation_spec import GenerationSpec, LevelSpec
from tests.packaged import specs_with

SPECS = specs_with("generation")

GOOD = """\
generation:
  model: {name: m, context: 1024}
  roots:
    trees: 2
    topics: [{text: cats}]
  levels:
    - {role: user, fanout: 4, max_tokens: 64}
    - {role: assistant, fanout: 2, max_tokens: 128}
execution:
  location: runs/x
"""


def load(tmp_path: Path, text: str | bytes) -> RunSpec:
    file = tmp_path / "spec.yaml"
    file.write_bytes(text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text)
    return load_spec(str(file))


def refusal(tmp_path: Path, *changes: tuple[str, str]) -> str:
    text = GOOD
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    with pytest.raises(SpecError) as caught:
        load(tmp_path, text)
    assert str(caught.value).startswith(f"{tmp_path}/spec.yaml: ")
    return str(caught.value).removeprefix(f"{tmp_path}/spec.yaml: ")


@pytest.mark.parametrize("file", SPECS, ids=lambda file: file.name)
def test_packaged_spec_is_read(file):
    assert load_spec(str(file)).generation.levels


def test_good_spec_is_read_with_its_defaults(tmp_path):
    spec = load(tmp_path, GOOD)
    assert spec.generation.asked(1) == 8 and spec.execution.engines["main"].lease == 512


LEVEL = "{role: assistant, fanout: 2, max_tokens: 128}"


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (
            "trees: 2",
            "tree: 2",
            ["generation.roots.tree: unknown key", "trees, topics", "did you mean trees?"],
        ),
        (
            "fanout: 2",
            "fan_out: 2",
            ["generation.levels.1.fan_out: unknown key", "did you mean fanout?"],
        ),
        ("execution:", "exection:", ["exection: unknown key", "did you mean execution?"]),
        (
            "location: runs/x",
            "location: runs/x\n  engines: {main: {replica: 2}}",
            ["execution.engines.main.replica: unknown key", "did you mean replicas?"],
        ),
        ("text: cats", "zzz: cats", ["generation.roots.topics.0.zzz: unknown key", "text, weight"]),
        ("trees: 2", "trees: many", ["generation.roots.trees: found 'many', expected", "integer"]),
        ("trees: 2", "trees: 0", ["generation.roots.trees: found 0, expected", "1"]),
        ("text: cats", "text: 7", ["generation.roots.topics.0.text: found 7, expected", "string"]),
        (
            "role: user",
            "role: system",
            ["generation.levels.0.role: found 'system', expected 'user', 'assistant' or 'text'"],
        ),
        (
            "topics: [{text: cats}]",
            "topics: [{text: cats}]\n    data: {}",
            ["generation.roots.data: found beside topics", "one of the two"],
        ),
        (
            "topics: [{text: cats}]",
            "data: {template: 'On {topic}.'}",
            ["generation.roots.data.template: knows nothing of {topic}", "{text}"],
        ),
        (
            "topics: [{text: cats}]",
            "data: {template: 'On {text!r}.'}",
            ["generation.roots.data.template: found {text!r}, expected {text}: texts are filled"],
        ),
        (
            "topics: [{text: cats}]",
            "data: {template: 'On {text:d}.'}",
            ["generation.roots.data.template: found {text:d}, expected {text}:"],
        ),
        (
            "topics: [{text: cats}]",
            "data: {template: 'On {text:{text}}.'}",
            ["generation.roots.data.template: found {text:{text}}, expected {text}:"],
        ),
        (
            "topics: [{text: cats}]",
            "data: {template: 'On {{text}}.'}",
            ["generation.roots.data.template: found 'On {{text}}.', expected {text} in it"],
        ),
        (
            "fanout: 2",
            "fanout: 2, shown: '{reference!s:>9}'",
            ["generation.levels.1.shown: found {reference!s:>9}, expected {reference}:"],
        ),
        (
            "topics: [{text: cats}]",
            "data: {}",
            ["execution.roots: empty", "generation.roots.data"],
        ),
        (
            "{text: cats}",
            "{text: cats, weight: .inf}",
            ["generation.roots.topics.0.weight: found inf", "finite"],
        ),
        ("  location: runs/x", "  {}", ["execution.location: missing"]),
        (
            "context: 1024",
            "context: 192",
            ["generation.levels.1.max_tokens: levels 1 to 2 may take 192", "context is 192"],
        ),
        (
            "fanout: 4",
            "fanout: 4, temperature: 0",
            ["generation.levels.0.temperature: 0.0 is greedy", "all 4", "fanout 1"],
        ),
        (
            "role: assistant",
            "role: user",
            ["generation.levels.1.role: found user after a user", "expected assistant"],
        ),
        (
            LEVEL,
            LEVEL.replace("}", ", engine: big}"),
            ["generation.levels.1.engine: found big, expected one of execution.engines: main"],
        ),
        ("fanout: 2", "fanout: 2000", ["generation.levels.1.fanout: found 2000", "at most 1024"]),
        (
            "execution:",
            "  turns: {2: 1}\nexecution:",
            ["generation.turns.2: the levels hold 1 turns; expected", "from 1 to 1"],
        ),
        ("trees: 2", "trees: 2\n    trees: 3", ["the key 'trees' is there twice", "line 4"]),
        ("context: 1024}", "context: 1024, name: n}", ["the key 'name' is there twice"]),
    ],
    ids=lambda value: value if isinstance(value, str) and len(value) < 40 else "",
)
def test_refusal_names_the_key_what_was_found_and_what_was_expected(tmp_path, old, new, said):
    message = refusal(tmp_path, (old, new))
    for part in said:
        assert part in message


def test_refusal_names_several_mistakes_and_counts_the_rest(tmp_path):
    message = refusal(tmp_path, ("fanout", "a: 1, b: 2, c: 3, fanout"))
    assert message.count("unknown key") == 5 and message.endswith("more).")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"", "found NoneType, expected the two sections"),
        (b"- a", "found list"),
        (b"a: [", "not a YAML file"),
        (b"a: \xff", "not a YAML file"),
        (b"a: \x07", "not a YAML file"),
        (b"a: !!python/object:os.system {}", "not a YAML file"),
        (b"a: 2024-13-45", "not a YAML file"),
        (b"a: 0b_", "not a YAML file"),
        (b"[" * 5000, "not a YAML file"),
        (b"? [a]\n: b", "not a YAML file"),
        (b"1: 2", "1: found 1"),
    ],
    ids=lambda value: repr(value[:20]),
)
def test_other_files_are_refused(tmp_path, text, said):
    with pytest.raises(SpecError, match=said):
        load(tmp_path, text)


def test_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(SpecError, match=r"no/such\.yaml: cannot be read: No such file"):
        load_spec("no/such.yaml")
    with pytest.raises(SpecError, match="Is a directory"):
        load_spec(str(tmp_path))


def test_anchors_and_merges_are_yaml_as_usual(tmp_path):
    text = GOOD.replace("{role: user", "&asked {role: user").replace(
        LEVEL, "{<<: *asked, role: assistant, fanout: 1}"
    )
    user, assistant = load(tmp_path, text).generation.levels
    assert (assistant.role, assistant.fanout) == ("assistant", 1)
    assert assistant.max_tokens == user.max_tokens == 64


SCALARS = st.one_of(
    *(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8), st.dates()),
    st.sampled_from(["user", "assistant", "main", 1, 0.5]),
)
NAMES = {"generation", "execution", "topics", "weight", "location"}.union(
    *(model.model_fields for model in (GenerationSpec, ExecutionSpec, LevelSpec, EngineGroupSpec))
)
KEYS = st.sampled_from(sorted(NAMES)) | SCALARS
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=20,
)
ANY_FILE = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


def expect_spec_or_refusal(tmp_path, text):
    try:
        assert isinstance(load(tmp_path, text), RunSpec)
    except SpecError as error:
        str(error).encode("utf-8", "backslashreplace")


@ANY_FILE
@given(VALUES)
def test_any_yaml_is_a_spec_or_refused(tmp_path, value):
    expect_spec_or_refusal(tmp_path, yaml.safe_dump(value, allow_unicode=True))


@ANY_FILE
@given(st.data())
def test_a_good_spec_with_any_value_anywhere_is_a_spec_or_refused(tmp_path, data):
    content = yaml.safe_load(GOOD)
    inner = content
    while True:
        keys = list(inner) if isinstance(inner, dict) else list(range(len(inner)))
        key = data.draw(st.sampled_from(keys))
        if not isinstance(inner[key], dict | list) or data.draw(st.booleans()):
            break
        inner = inner[key]
    if isinstance(inner, dict) and data.draw(st.booleans()):
        key = data.draw(KEYS)
    inner[key] = data.draw(VALUES)
    expect_spec_or_refusal(tmp_path, yaml.safe_dump(content))


@ANY_FILE
@given(st.binary(max_size=60) | st.text(alphabet=" \n-?:,[]{}#&*!|>'\"%@`~0b_xa<=", max_size=60))
def test_any_text_is_a_spec_or_refused(tmp_path, text):
    expect_spec_or_refusal(tmp_path, text)


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ("ecco", ["curation.filters.1: found ecco, expected one of: empty", "did you mean echo?"]),
        ("{filter: echo, max_shar: 0.5}", ["max_shar: unknown key", "did you mean max_share?"]),
        ("{filter: echo, max_share: 1.5}", ["max_share: found 1.5, expected less than or equal"]),
        ("{filter: length, min_chars: 9, max_chars: 5}", ["max_chars: found 5", "min_chars, 9"]),
        ("{filter: language, allowed: []}", ["allowed: found []", "at least 1"]),
        (
            "{filter: echo, roles: [system]}",
            ["found 'system', expected 'user', 'assistant' or 'text'"],
        ),
        (
            "{filter: judge, engine: other}",
            ["filters.judge.engine: found other", "expected one of", "main"],
        ),
        ("judge, judge", ["found `judge` more than once"]),
    ],
)
def test_filter_that_cannot_be_is_refused_with_its_place(tmp_path, entry, said):
    curation = f"  curation: {{filters: [empty, {entry}]}}\nexecution:"
    message = refusal(tmp_path, ("execution:", curation))
    assert all(part in message for part in said), message


def test_near_threshold_that_bands_do_not_find_is_refused(tmp_path):
    message = refusal(tmp_path, ("execution:", "  curation: {near_threshold: 0.5}\nexecution:"))
    assert "curation.near_threshold: found 0.5, expected greater than or equal to 0.7" in message


def test_a_mistake_in_the_only_entry_of_a_list_is_told_once(tmp_path):
    message = refusal(
        tmp_path,
        ("[{text: cats}]", "[{text: cats}]\n    examples: 0"),
        (
            "levels:\n    - {role: user, fanout: 4, max_tokens: 64}\n    - " + LEVEL,
            "levels:\n    - {role: user, fanout: none, max_tokens: 64}",
        ),
    )
    assert "generation.levels.0.fanout: found 'none'" in message
    assert "at least 1 item" not in message and message.count(";") == 1


def test_a_list_that_is_too_short_is_told(tmp_path):
    levels = GOOD[GOOD.index("levels:") : GOOD.index("execution:")]
    assert "generation.levels: found []" in refusal(tmp_path, (levels, "levels: []\n"))


@pytest.mark.parametrize(
    ("section", "said"),
    [
        ("turns: {a: 1}", "generation.turns.a: found 'a', expected a valid integer"),
        (
            "roots: {data: {columns: {test: x}}}",
            "generation.roots.data.columns.test: found 'test', expected 'text'",
        ),
    ],
)
def test_a_mistaken_key_is_told_by_its_place(tmp_path, section, said):
    text = GOOD[: GOOD.index("  roots:")] + f"  {section}\n" + GOOD[GOOD.index("  levels:") :]
    assert said in refusal(tmp_path, (GOOD, text))
