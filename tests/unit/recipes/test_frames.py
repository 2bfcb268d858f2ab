"""What stands before a tree's turns, by level, and what readers see."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.recipes import RECIPES, with_system
from pipeline.recipes.magpie import SEVERAL_TURNS
from pipeline.recipes.tg_pt import LEAD_IN
from schemas.generation_spec import GenerationSpec
from schemas.records import Frame, Message, RootRow
from tests.golden.methods import METHODS, ROWS, level, make_method_spec, requests_of

TALK = ROWS[3].messages


def frames(spec: GenerationSpec, *rows: RootRow) -> list[Frame]:
    """What readers see, then what stands there while each level is asked for."""
    recipe = RECIPES[spec.recipe]
    return [recipe.frame(spec, rows, number) for number in range(len(spec.levels) + 1)]


def prompts(spec: GenerationSpec) -> list[list[str]]:
    """By level, what is asked."""
    return [[r["prompt"] for r in entry["requests"]] for entry in requests_of(spec)["asked"]]


def test_with_system_takes_the_place_of_another():
    said = Message("user", "Why?")
    assert with_system((said,), "S") == (Message("system", "S"), said)
    assert with_system((Message("system", "T"), said), "S") == (Message("system", "S"), said)
    assert with_system((Message("system", "T"), said), "") == (said,)


def test_frame_tg_sft_is_the_topic_at_every_level():
    spec = make_method_spec("tg-sft")
    assert set(frames(spec, RootRow("cats"))) == {(Message("system", "cats"),)}


def test_frame_tg_sft_without_a_topic_is_the_bare_template():
    assert set(frames(make_method_spec("tg-sft", roots={}), RootRow())) == {()}


def test_frame_level_system_is_there_while_its_level_is_asked_only():
    levels = [level("user"), level("assistant", system="Be brief."), level("user", system="")]
    spec = make_method_spec("tg-sft", levels=levels, turns={})
    topic = (Message("system", "cats"),)
    brief = (Message("system", "Be brief."),)
    assert frames(spec, RootRow("cats")) == [topic, topic, brief, ()]


def test_frame_magpie_announces_turns_while_later_questions_are_asked_only():
    announced = (Message("system", SEVERAL_TURNS),)
    assert frames(make_method_spec("magpie"), RootRow()) == [(), (), (), announced, ()]


def test_frame_magpie_announcement_is_never_in_the_prompt_of_an_answer():
    first, answer, question, last = prompts(make_method_spec("magpie"))
    assert all(prompt.startswith(SEVERAL_TURNS) for prompt in question)
    assert not any(SEVERAL_TURNS in prompt for prompt in [*first, *answer, *last])


@pytest.mark.parametrize("own", ["", "They talk on."])
def test_frame_magpie_system_of_a_spec_stands_instead_of_the_announcement(own):
    levels = [level("user"), level("assistant"), level("user", system=own), level("assistant")]
    asked = frames(make_method_spec("magpie", levels=levels), RootRow())[3]
    assert asked == ((Message("system", own),) if own else ())


def test_frame_contextual_is_the_prompt_with_its_system_prompt_or_the_whole_talk():
    spec = make_method_spec("contextual")
    plain, with_its_system = Message("user", "What floats?"), Message("user", "What sinks?")
    assert set(frames(spec, ROWS[0])) == {(plain,)}
    assert set(frames(spec, ROWS[1])) == {(Message("system", "Be brief."), with_its_system)}
    assert set(frames(spec, ROWS[3])) == {TALK}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.source)
def test_frame_self_distill_shows_the_reference_while_asking_only(row):
    seen, asked = frames(make_method_spec("self-distill"), row)
    assert seen == RECIPES["contextual"].frame(make_method_spec("contextual"), [row], 0)
    assert row.reference not in str(seen)
    assert asked[:-1] == seen[:-1]
    assert asked[-1].role == "user"
    assert seen[-1].text in asked[-1].text and row.reference in asked[-1].text


def test_frame_self_distill_shows_what_the_spec_says():
    levels = [level("assistant", shown="{{Say}} it anew: {reference} ({text})", system="Be brief.")]
    spec = make_method_spec("self-distill", levels=levels)
    said = Message("user", "{Say} it anew: Ice floats on water. (What floats?)")
    assert frames(spec, ROWS[0])[1] == (Message("system", "Be brief."), said)


def test_frame_self_distill_braces_in_rows_are_text():
    row = RootRow("{text} {0}?", reference="{reference}!")
    asked = frames(make_method_spec("self-distill"), row)[1]
    assert "{text} {0}?" in asked[-1].text and "{reference}!" in asked[-1].text


def test_frame_rehearsal_has_the_examples_while_the_first_question_is_asked_only():
    spec = make_method_spec("rehearsal")
    examples = (
        Message("user", "What floats?"),
        Message("assistant", "Ice floats on water."),
        Message("user", "What melts?"),
        Message("assistant", "Butter melts."),
    )
    assert frames(spec, ROWS[0], ROWS[3]) == [(), examples, ()]


def test_frame_rehearsal_system_of_a_level_stands_before_the_examples():
    levels = [level("user", system="Ask."), level("assistant", system="Be brief.")]
    seen, asked, answered = frames(make_method_spec("rehearsal", levels=levels), ROWS[0])
    assert seen == ()
    assert asked[0] == Message("system", "Ask.") and len(asked) == 3
    assert answered == (Message("system", "Be brief."),)


def test_frame_tg_pt_is_the_lead_in_of_the_row_or_our_own():
    spec = make_method_spec("tg-pt")
    assert set(frames(spec, RootRow("Once upon"))) == {(Message("text", "Once upon"),)}
    assert set(frames(spec, RootRow())) == {(Message("text", LEAD_IN),)}


def test_frame_context_free_is_the_beginning_of_a_text_or_of_the_template():
    assert set(frames(make_method_spec("context-free"), RootRow())) == {(Message("text", ""),)}
    assert set(frames(make_method_spec("context-free-reasoning"), RootRow())) == {()}


def test_frame_say_stays_in_the_history_of_deeper_levels():
    first, second = prompts(make_method_spec("topics"))
    assert first == ["<user>Name an area.<end><assistant>"]
    for prompt in second:
        assert prompt.startswith("<user>Name an area.<end><assistant>The ")
        assert prompt.endswith("<end><user>Name a topic within it.<end><assistant>")


@given(st.sampled_from(sorted(METHODS)), st.text(max_size=20), st.text(max_size=20))
def test_frame_is_a_text_alone_or_turns_that_alternate_below_a_system_prompt(method, text, system):
    spec = make_method_spec(method)
    for frame in frames(spec, RootRow(text, system, reference="R")):
        roles = [message.role for message in frame]
        turns = roles[1:] if roles[:1] == ["system"] else roles
        assert roles == ["text"] or turns == [
            ("user", "assistant")[i % 2] for i in range(len(turns))
        ]
