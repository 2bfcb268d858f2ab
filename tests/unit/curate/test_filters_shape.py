"""Filters that need no reading: empty, truncated, role_leak, length, likelihood, judge."""

import numpy as np
import pytest

from pipeline.curate.filters import FILTERS
from schemas.filter_spec import JudgeSpec
from schemas.measures import no_measures
from tests.unit.curate.turns import fallen, falls, make_turns, measure
from tests.unit.samples import DIALECT

LEAKY = DIALECT.model_copy(update={"leak_strings": ("<user>",), "leak_ids": (256, 259)})
THINKING = LEAKY.model_copy(
    update={"reasoning_close": (61,), "reasoning_open": "<think>", "reasoning_end": "="}
)


@pytest.mark.parametrize(
    ("text", "changes", "dropped"),
    [
        ("Hm", {}, False),
        ("", {}, True),
        (" \n\t\u2003", {}, True),
        ("ab", {"reasoning_tokens": 2}, True),
        ("ab", {"reasoning_tokens": 1}, False),
        (".", {}, False),
    ],
)
def test_empty_drops_turns_without_visible_text(text, changes, dropped):
    assert fallen(make_turns(text, **changes), "empty") == [dropped]


@pytest.mark.parametrize(
    ("text", "changes", "dropped"),
    [
        ("Yes.", {"reasoning_tokens": 2}, False),
        ("Yes.", {"reasoning_tokens": 2, "finish_reason": "length"}, True),
        ("Yes.", {"finish_reason": ""}, True),
        ("<think>Hm", {}, True),
        ("<think>", {"role": "user"}, False),
        ("Yes.", {}, False),
    ],
)
def test_truncated_drops_turns_that_did_not_come_to_their_end(text, changes, dropped):
    assert fallen(make_turns(text, **changes), "truncated", dialect=THINKING) == [dropped]


def test_truncated_drops_reasoning_that_the_prompt_opened_and_nobody_closed():
    dialect = THINKING.model_copy(update={"ask_assistant": (*THINKING.ask_assistant, 60)})
    assert fallen(make_turns("Hm."), "truncated", dialect=dialect) == [True]
    closed = make_turns("Hm.", reasoning_tokens=1)
    assert fallen(closed, "truncated", dialect=dialect) == [False]


@pytest.mark.parametrize(
    ("text", "changes", "dropped"),
    [
        ("The users and <use r>.", {}, False),
        ("Fine. <user> And then?", {}, True),
        ("AB", {"token_ids": [[65, 256, 66]]}, True),
        ("AB", {"token_ids": [[65, 66, 259]]}, True),
        ("AB", {"token_ids": [[65, 258, 66]]}, False),
        ("B", {"token_ids": [[65, 256, 66]], "reasoning_tokens": 2}, False),
        ("B", {"token_ids": [[65, 66, 256]], "reasoning_tokens": 2}, True),
        ("B <user>", {"token_ids": [[65, 66, 67]], "reasoning_tokens": 2}, True),
    ],
)
def test_role_leak_drops_markers_of_the_template(text, changes, dropped):
    assert fallen(make_turns(text, **changes), "role_leak", dialect=THINKING) == [dropped]


def test_role_leak_lets_reasoning_quote_markers_where_it_is_not_told_apart():
    turns = make_turns("Is <user> a marker? =Yes.", reasoning_tokens=20)
    assert fallen(turns, "role_leak", dialect=LEAKY) == [False]


@pytest.mark.parametrize(
    ("text", "settings", "dropped"),
    [
        ("ok", {}, False),
        ("  ", {}, True),
        ("four", {"min_chars": 4}, False),
        ("  six ", {"min_chars": 4}, True),
        ("five!", {"max_chars": 4}, True),
        ("five!", {"max_chars": 5}, False),
        ("abc", {"min_tokens": 4}, True),
        ("abc", {"max_tokens": 2}, True),
        ("abc", {"min_tokens": 3, "max_tokens": 3}, False),
    ],
)
def test_length_drops_outside_of_its_bounds_only(text, settings, dropped):
    assert falls(text, "length", **settings) == dropped


def test_length_counts_tokens_after_the_reasoning():
    measures = measure(make_turns("abcdef", reasoning_tokens=2), "length")
    assert measures.column("tokens").tolist() == [4]
    assert measures.column("chars").tolist() == [6]


@pytest.mark.parametrize(
    ("mean", "settings", "dropped"),
    [
        (-1.5, {}, False),
        (-6.5, {}, True),
        (-6.0, {}, False),
        (-0.01, {"max_mean": -0.05}, True),
        (float("-inf"), {}, True),
        (float("nan"), {"min_mean": 0.0}, False),
    ],
)
def test_likelihood_drops_outside_of_its_band(mean, settings, dropped):
    text = "Rivers carry sand."
    turns = make_turns(text, logprob_sum=mean * len(text))
    assert fallen(turns, "likelihood", **settings) == [dropped]


def test_likelihood_does_not_judge_very_short_turns():
    assert fallen(make_turns("No.", logprob_sum=-90.0), "likelihood") == [False]


def test_judge_drops_poor_scores_and_those_that_could_not_be_read():
    scores = np.array([1.0, 2.9, 3.0, 5.0, np.nan], dtype=np.float32)
    measures = no_measures(5).with_score("judge", scores)
    drops = FILTERS["judge"].drops(measures, JudgeSpec())
    assert drops.tolist() == [True, True, False, False, True]
    assert FILTERS["judge"].drops(no_measures(2), JudgeSpec()).tolist() == [True, True]
