"""The dialect of rehearsals, used as that of a model is."""

from hypothesis import given
from hypothesis import strategies as st

from pipeline.dialects.scripted import scripted_dialect, scripted_opening
from pipeline.tree.prompt import ask, remember
from schemas.records import Candidate, to_ids

texts = st.text(st.characters(exclude_categories=["Cs"]))
TAGS = {256: "<user>", 257: "<assistant>", 258: "<end>"}


def shown(ids):
    """Bytes as text, markers as tags."""
    pieces, run = [], bytearray()
    for i in ids.tolist():
        if i < 256:
            run.append(i)
        else:
            pieces += [run.decode(), TAGS[i]]
            run = bytearray()
    return "".join([*pieces, run.decode()])


@given(system=texts, question=texts, answer=texts)
def test_scripted_prompts_hold_every_text_between_markers(system, question, answer):
    dialect = scripted_dialect()
    opening = scripted_opening(system)
    first = remember(opening, "system", turn("user", question), dialect)
    second = remember(first, "user", turn("assistant", answer), dialect)
    assert shown(ask(opening, "system", dialect)) == f"{system}<user>"
    assert shown(ask(first, "user", dialect)) == f"{system}<user>{question}<end><assistant>"
    expected = f"{system}<user>{question}<end><assistant>{answer}<end><user>"
    assert shown(ask(second, "assistant", dialect)) == expected


def test_scripted_stops_and_leaks_are_ids_of_its_vocabulary():
    dialect = scripted_dialect()
    ids = {*dialect.leak_ids, *dialect.user_stop_ids, *dialect.assistant_stop_ids}
    assert ids == set(TAGS)
    assert max(ids) == dialect.vocab_size - 1


def turn(role, text):
    return Candidate(0, "n", None, (0,), role, to_ids(list(text.encode())), text)
