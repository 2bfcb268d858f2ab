"""Filters of answers that were written with another one in view: gives_away, disagrees."""

import numpy as np
import pytest
from pydantic import ValidationError

from schemas.curation_spec import CurationSpec
from schemas.filter_spec import DisagreesSpec, GivesAwaySpec
from tests.unit.curate.prose import GOOD
from tests.unit.curate.turns import fallen, falls, make_turns, measure


@pytest.mark.parametrize("text", GOOD)
def test_gives_away_keeps_ordinary_turns(text):
    assert not falls(text, "gives_away")


@pytest.mark.parametrize(
    "text",
    [
        "As the reference answer says, it rises in the north.",
        "In my own words: it rises in the north.",
        "Now it\N{RIGHT SINGLE QUOTATION MARK}s YOUR TURN! It rises in the north.",
        "Here is my response, which agrees with that other answer.",
        "The provided\nanswer is right.",
    ],
)
def test_gives_away_drops_what_speaks_of_another_answer(text):
    assert falls(text, "gives_away")


@pytest.mark.parametrize(
    "text",
    ["Her response was late.", "Turn left; your turning is the second.", "Answer the door above."],
)
def test_gives_away_looks_for_whole_phrases_of_whole_words(text):
    assert not falls(text, "gives_away")


def test_gives_away_phrases_of_a_spec_stand_instead_of_ours():
    phrases = ("the colleague",)
    assert falls("As the colleague says, north.", "gives_away", phrases=phrases)
    assert not falls("In my own words: north.", "gives_away", phrases=phrases)


def test_gives_away_scores_how_many_phrases_stand_there():
    turns = make_turns("My response, my response: it is your turn.", "North.")
    assert measure(turns, "gives_away").column("gives_away").tolist() == [2, 0]


@pytest.mark.parametrize("phrases", [("",), ("fine words", "...")])
def test_gives_away_refuses_phrases_without_words(phrases):
    with pytest.raises(ValidationError, match="phrases"):
        GivesAwaySpec(phrases=phrases)


def test_filters_of_references_look_at_answers_unless_told_otherwise():
    for role in ("user", "text"):
        turns = make_turns("It is your turn: 5", role=role, references=["6"])
        for name in ("gives_away", "disagrees"):
            assert fallen(turns, name, roles=(role,)) == [True]
            assert measure(turns, name).names == ()


def disagrees(text, reference, **settings):
    """Whether an answer falls beside a reference."""
    return fallen(make_turns(text, references=[reference]), "disagrees", **settings)[0]


@pytest.mark.parametrize(
    ("text", "reference", "settings", "dropped"),
    [
        ("So she pays 1,200.00 dollars.", "400 x 3 = 1200\n#### 1200", {}, False),
        ("So she pays 1,300 dollars.", "#### 1200", {}, True),
        ("She pays a lot.", "#### 1200", {}, True),
        ("She pays 1,300 dollars.", "She pays a lot.", {}, False),
        ("She pays 1,300 dollars.", "", {}, False),
        ("I take (b).", "B", {"final": "choice"}, False),
        ("I take (c).", "B", {"final": "choice"}, True),
        ("I take (c).", "Paris", {"final": "choice"}, False),
        ("Hence:\n**Paris.**", "paris", {"final": "line"}, False),
        ("Hence:\n**Rome.**", "paris", {"final": "line"}, True),
        ("f(1) f(2)", "f(2)", {"final": "pattern", "pattern": r"f\((.)\)"}, False),
        ("f(2) f(1)", "f(2)", {"final": "pattern", "pattern": r"f\((.)\)"}, True),
        ("f(2)", "g(1)", {"final": "pattern", "pattern": r"f\((.)\)"}, False),
    ],
)
def test_disagrees_drops_another_final_answer_than_the_references(
    text, reference, settings, dropped
):
    assert disagrees(text, reference, **settings) == dropped


def test_disagrees_scores_whether_both_are_the_same():
    turns = make_turns(
        *("4", "5", "none", "4"),
        above=[("", "2 + 2?"), ("", "Why?")],
        references=["#### 4", "So."],
        families=[0, 0, 0, 1],
    )
    found = measure(turns, "disagrees").column("same_number")
    np.testing.assert_array_equal(found, [1, 0, 0, np.nan])


def test_disagrees_of_several_rules_has_a_score_each():
    entries = [
        {"filter": "disagrees", "final": "line"},
        {"filter": "disagrees"},
        {"filter": "disagrees", "final": "line", "roles": ["assistant", "user"]},
    ]
    found = measure(make_turns("It is 4", references=["So it is 4"]), *entries)
    assert found.names == ("same_line", "same_number")
    assert found.scores.tolist() == [[0, 1]]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"final": "pattern"}, "missing, expected one"),
        ({"pattern": "(a)"}, "found one with `final: number`"),
        ({"final": "pattern", "pattern": "a"}, "found 0 groups.*expected one"),
        ({"final": "pattern", "pattern": "(a)|(b)"}, "found 2 groups"),
        ({"final": "pattern", "pattern": "(a"}, "no regular expression: missing \\)"),
        ({"final": "pattern", "pattern": "(a{99999999999999999999})"}, "no regular expression"),
    ],
)
def test_disagrees_refuses_patterns_that_cannot_be(settings, message):
    with pytest.raises(ValidationError, match=message):
        DisagreesSpec(**settings)


def test_disagrees_asks_for_one_pattern():
    patterns = [{"filter": "disagrees", "final": "pattern", "pattern": p} for p in ("(a)", "(b)")]
    assert len(CurationSpec(filters=[patterns[0], "disagrees"]).filters) == 2
    with pytest.raises(ValidationError, match=r"patterns \['\(a\)', '\(b\)'\]"):
        CurationSpec(filters=patterns)
