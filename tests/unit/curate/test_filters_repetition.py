"""Filters of what is said again: repetition, char_repetition, path_repetition, echo."""

import pytest

from tests.unit.curate.prose import ANSWER, GOOD, QUESTION
from tests.unit.curate.turns import fallen, falls, make_turns, measure

LOOP = "I think that the river is long. " * 12
LINES = "The first bridge was built of wood and burned down.\nIt was built again.\n" * 5


@pytest.mark.parametrize("name", ["repetition", "char_repetition"])
@pytest.mark.parametrize("text", GOOD)
def test_repetition_keeps_ordinary_turns(name, text):
    assert not falls(text, name)


@pytest.mark.parametrize("text", [LOOP, LINES, "no " * 200, ANSWER + " " + ANSWER])
def test_repetition_drops_turns_that_say_the_same_again(text):
    assert falls(text, "repetition")


@pytest.mark.parametrize("text", ["I am here. " * 8, "ha" * 40, "=" * 60, "1, 2, 3, " * 20])
def test_char_repetition_drops_strings_that_come_again_and_again(text):
    assert falls(text, "char_repetition")


def test_repetition_does_not_judge_short_turns_unless_told_to():
    text = "no no no no no no"
    assert not falls(text, "repetition")
    assert falls(text, "repetition", min_words=6)
    assert not falls(text, "repetition", min_words=7)
    assert not falls("=" * 49, "char_repetition")


def scores(text):
    measures = measure(make_turns(text), "repetition", "char_repetition")
    return dict(zip(measures.names, measures.scores[0].tolist(), strict=True))


def test_repetition_scores_are_the_shares_that_one_counts_by_hand():
    found = scores("aa bb cc aa bb dd")
    assert found["words"] == 6
    assert found["top_2gram"] == pytest.approx(8 / 12)
    assert found["top_3gram"] == found["duplicate_5gram"] == 0
    found = scores("a b c d e f a b c d e g")
    assert found["top_4gram"] == pytest.approx(8 / 12)
    assert found["duplicate_5gram"] == pytest.approx(5 / 12)
    assert found["duplicate_10gram"] == 0


def test_repetition_of_lines_counts_those_that_were_there_before():
    found = scores("one\n\n two\none\none\n")
    assert found["duplicate_lines"] == pytest.approx(2 / 4)
    assert found["duplicate_line_chars"] == pytest.approx(6 / 12)


def test_repetition_said_once_is_none():
    found = scores("alpha beta")
    assert found["top_2gram"] == found["char_repetition"] == 0
    assert scores("abcdefghijk" * 2)["char_repetition"] == pytest.approx(4 / 13)


def test_repetition_looks_through_case_and_punctuation():
    assert scores("The End. the end, THE END!")["top_2gram"] == 1


PATH = ("On rivers.", "Why do rivers bend?", "Water cuts.", "And why do they flood?", "Snow melts.")


@pytest.mark.parametrize(
    ("text", "dropped"),
    [
        ("why do rivers bend", True),
        ("And why do they flood, then?", False),
        ("How deep is the lake?", False),
        ("Water cuts.", False),
        ("On rivers.", False),
    ],
)
def test_path_repetition_looks_at_earlier_turns_of_its_role(text, dropped):
    turns = make_turns(text, role="user", above=[PATH])
    assert fallen(turns, "path_repetition") == [dropped]


def test_path_repetition_of_answers_looks_at_answers():
    above = [(*PATH[:2], ANSWER, PATH[3])]
    again = ANSWER.replace("The river", "That river")
    turns = make_turns(again, "Otters came back.", above=above)
    assert fallen(turns, "path_repetition") == [True, False]
    assert fallen(turns, "path_repetition", max_similarity=1.0) == [False, False]


def test_path_repetition_says_nothing_of_those_who_speak_first():
    for role, above in (("user", ("On rivers.",)), ("assistant", ("On rivers.", "Why?"))):
        turns = make_turns("On rivers.", "Why?", role=role, above=[above])
        assert fallen(turns, "path_repetition", max_similarity=0.0) == [False, False]


@pytest.mark.parametrize(
    ("text", "dropped"),
    [
        (QUESTION, True),
        (f"{QUESTION.upper()}!!", True),
        ("did engineers straighten the river in the nineteenth", True),
        ("They straightened the river to let barges carry coal and timber.", False),
        ("The river.", False),
    ],
)
def test_echo_drops_what_the_turn_before_said(text, dropped):
    assert fallen(make_turns(text, above=[("", QUESTION)]), "echo") == [dropped]


def test_echo_compares_openings_with_the_topic_if_there_is_one():
    topic = "You are a patient teacher of geography, who speaks of rivers."
    turns = make_turns(topic, topic, role="user", above=[(topic,), (" ",)], families=[0, 1])
    assert fallen(turns, "echo") == [True, False]
