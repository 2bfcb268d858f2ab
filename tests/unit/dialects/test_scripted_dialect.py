"""The dialect of rehearsals, used as that of a model is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.dialects.scripted import ScriptedSpeller, scripted_dialect
from pipeline.engines.scripted_author import CONTROL_TEXTS, VOCAB_SIZE
from pipeline.tree.prompt import ask, remember
from schemas.errors import ModelError
from schemas.records import Candidate, Message, to_ids

texts = st.text(st.characters(exclude_categories=["Cs"]))
SPELLER = ScriptedSpeller()


def shown(ids):
    """Bytes as text, markers as tags."""
    pieces, run = [], bytearray()
    for i in ids.tolist():
        if i < 256:
            run.append(i)
        else:
            pieces += [run.decode(), CONTROL_TEXTS[i]]
            run = bytearray()
    return "".join([*pieces, run.decode()])


@given(system=texts, question=texts, answer=texts)
def test_scripted_prompts_hold_every_text_between_markers(system, question, answer):
    dialect = scripted_dialect()
    opening = SPELLER.opening((Message("system", system),))
    assert opening.last == "system"
    first = remember(opening.ids, "system", turn("user", question), dialect)
    second = remember(first, "user", turn("assistant", answer), dialect)
    assert shown(ask(opening.ids, "system", dialect)) == f"{system}<user>"
    assert shown(ask(first, "user", dialect)) == f"{system}<user>{question}<end><assistant>"
    expected = f"{system}<user>{question}<end><assistant>{answer}<end><user>"
    assert shown(ask(second, "assistant", dialect)) == expected


@given(system=texts, said=st.lists(texts, min_size=1, max_size=3))
def test_scripted_frames_are_what_their_turns_make_one_by_one(system, said):
    dialect = scripted_dialect()
    head = Message("system", system)
    messages = [Message(("user", "assistant")[i % 2], text) for i, text in enumerate(said)]
    history, last = SPELLER.opening((head,)).ids, "system"
    for role, text in messages:
        history, last = remember(history, last, turn(role, text), dialect), role
    opening = SPELLER.opening((head, *messages))
    assert (opening.ids.tolist(), opening.last) == (history.tolist(), last)


@given(text=texts)
def test_scripted_texts_begin_with_the_start(text):
    opening = SPELLER.opening((Message("text", text),))
    assert (shown(opening.ids), opening.last) == (f"<bos>{text}", "text")
    assert tuple(opening.ids[:1]) == scripted_dialect().start
    assert opening.ids[1:].tolist() == SPELLER.ids(text).tolist()


def test_scripted_frames_out_of_order_are_refused():
    with pytest.raises(ModelError, match="user, user"):
        SPELLER.opening((Message("user", "a"), Message("user", "b")))


def test_scripted_stops_and_leaks_are_the_control_tokens_of_scripted_engines():
    dialect = scripted_dialect()
    ids = {*dialect.leak_ids, *dialect.user_stop_ids, *dialect.assistant_stop_ids}
    assert ids == CONTROL_TEXTS.keys()
    assert dialect.vocab_size == VOCAB_SIZE


def turn(role, text):
    return Candidate(0, "n", None, (0,), role, to_ids(list(text.encode())), text)
