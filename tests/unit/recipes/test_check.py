"""What recipes refuse: specs that are none for them, and settings that would be ignored."""

import pytest

from pipeline.recipes import RECIPES
from schemas.errors import SpecError
from tests.golden.methods import CRITIQUE, METHODS, level, make_method_spec

DATA = {"data": {}}
TOPICS = {"topics": [{"text": "cats"}]}


def refusal(method: str, **changes) -> str:
    spec = make_method_spec(method, **changes)
    with pytest.raises(SpecError) as caught:
        RECIPES[spec.recipe].check(spec)
    return str(caught.value)


@pytest.mark.parametrize("method", METHODS)
def test_check_takes_the_small_spec_of_each_method(method):
    spec = make_method_spec(method)
    RECIPES[spec.recipe].check(spec)


@pytest.mark.parametrize(
    ("levels", "said"),
    [
        ([level("assistant")], ["generation.levels.0.role", "found assistant", "`say`", "tg-sft"]),
        ([level("user"), level("user")], ["generation.levels.1.role", "found user after a user's"]),
        ([level("text")], ["generation.levels.0.role: found text", "user or assistant"]),
        (
            [level("user"), level("assistant"), level("assistant")],
            ["generation.levels.2.role: found assistant after assistant", "`say`"],
        ),
        (
            [level("user"), level("assistant", say="And now?")],
            ["generation.levels.1.say: found after a user's message"],
        ),
        ([level("user", shown="{text}!")], ["generation.levels.0.shown", "have none", "tg-sft"]),
        ([level("user", 1031)], ["generation.levels.0.fanout: 1031", "1030 or 1032"]),
    ],
)
def test_check_tg_sft_refuses_levels_out_of_turn(levels, said):
    message = refusal("tg-sft", levels=levels, turns={})
    assert all(part in message for part in said), message


def test_check_tg_sft_takes_an_answer_to_what_is_said():
    levels = [level("assistant", say="Begin."), level("assistant", say="Go on."), level("user")]
    spec = make_method_spec("tg-sft", levels=levels, turns={})
    RECIPES["tg-sft"].check(spec)


@pytest.mark.parametrize("turns", [0, 3])
def test_check_turns_beyond_the_levels_are_refused(turns):
    assert f"generation.turns.{turns}: the levels hold 2 turns" in refusal(
        "tg-sft", turns={turns: 1}
    )


@pytest.mark.parametrize("method", ["tg-sft", "magpie", "tg-pt", "contextual"])
def test_check_examples_are_refused_where_a_tree_grows_from_one_row(method):
    message = refusal(method, roots={**DATA, "examples": 3})
    assert "generation.roots.examples: found 3, expected 1" in message


@pytest.mark.parametrize("method", ["tg-pt", "context-free", "context-free-reasoning"])
@pytest.mark.parametrize("role", ["user", "assistant"])
def test_check_plain_text_has_no_speakers(method, role):
    message = refusal(method, levels=[level(role)])
    assert f"generation.levels.0.role: found {role}, expected text" in message


@pytest.mark.parametrize("method", ["tg-pt", "context-free"])
def test_check_plain_text_has_no_system_prompt(method):
    message = refusal(method, levels=[level("text", system="Be brief.")])
    assert "generation.levels.0.system: found a system prompt, which plain text has not" in message


@pytest.mark.parametrize("method", ["context-free", "context-free-reasoning"])
@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"levels": [level("text"), level("text")]}, "generation.levels: found 2, expected one"),
        ({"roots": TOPICS}, "generation.roots: found texts to grow from, expected none"),
        ({"roots": DATA}, "generation.roots: found texts to grow from, expected none"),
        ({"logprobs": "sum"}, "generation.logprobs: found sum, expected tokens"),
        ({"logprobs": "none"}, "generation.logprobs: found none, expected tokens"),
    ],
)
def test_check_context_free_has_one_level_no_roots_and_its_logprobs(method, changes, said):
    message = refusal(method, **changes)
    assert said in message and f"({method})" in message


@pytest.mark.parametrize("role", ["user", "text"])
def test_check_contextual_levels_begin_with_an_answer(role):
    assert "generation.levels.0.role: found" in refusal("contextual", levels=[level(role)])


def test_check_contextual_needs_prompts():
    assert "generation.roots: found nothing to answer" in refusal("contextual", roots={})


def test_check_contextual_takes_prompts_of_the_spec_itself():
    RECIPES["contextual"].check(make_method_spec("contextual", roots=TOPICS))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"roots": {}}, "generation.roots.data: missing"),
        ({"roots": TOPICS}, "generation.roots.data: missing"),
        (
            {"levels": [level("assistant"), level("user")]},
            "generation.levels: found 2, expected one",
        ),
        ({"levels": [level("user")]}, "generation.levels.0.role: found user after a user's"),
    ],
)
def test_check_self_distill_has_one_level_and_rows(changes, said):
    assert said in refusal("self-distill", **changes)


@pytest.mark.parametrize("roots", [{}, DATA, {"trees": 2}, {"trees": 2, **TOPICS}])
def test_check_rehearsal_needs_rows_and_a_number_of_trees(roots):
    assert "generation.roots: expected `data`, rows" in refusal("rehearsal", roots=roots)


def test_check_topics_answer_what_is_said():
    message = refusal("topics", levels=[level("assistant")])
    assert "generation.levels.0.role: found assistant after system" in message


def test_check_critique_takes_the_place_of_answers_only():
    """The spec itself refuses it, with the key, before any recipe sees it."""
    for role in ("user", "text"):
        with pytest.raises(ValueError, match=rf"levels.0.critique: .* found role {role}"):
            make_method_spec("tg-sft", levels=[level(role, critique=CRITIQUE)], turns={})


@pytest.mark.parametrize(
    ("shown", "found"), [(None, "null"), ("{text}", "'{text}'"), ("{{reference}}", "'{{")]
)
def test_check_self_distill_shows_the_reference(shown, found):
    message = refusal("self-distill", levels=[level("assistant", shown=shown)])
    assert f"generation.levels.0.shown: found {found}" in message
    assert "expected a text with {reference} in it" in message


@pytest.mark.parametrize(
    ("method", "changes"),
    [
        ("tg-pt", {}),
        ("context-free", {}),
        ("topics", {"roles": ["user"]}),
        ("self-distill", {"roles": ["user"]}),
    ],
)
def test_check_a_judge_without_a_turn_to_look_at_is_refused(method, changes):
    judge = {"filter": "judge", **changes}
    message = refusal(method, curation={"filters": [judge], "diversity": None})
    assert "generation.curation.filters: found `judge`, which looks at turns of role" in message
    assert f"({method}); expected no judge" in message


@pytest.mark.parametrize("method", ["tg-sft", "tg-pt", "magpie", "topics", "rehearsal"])
def test_check_a_system_column_is_refused_where_it_would_not_be_read(method):
    roots = {"data": {"columns": {"system": "s"}}, "trees": 2}
    message = refusal(method, roots=roots)
    assert "generation.roots.data.columns.system: found a column" in message


@pytest.mark.parametrize("method", ["contextual", "self-distill"])
def test_check_a_system_column_stands_beside_prompts(method):
    spec = make_method_spec(method, roots={"data": {"columns": {"system": "s"}}})
    RECIPES[spec.recipe].check(spec)
