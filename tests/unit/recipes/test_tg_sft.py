"""The recipe of TG-SFT: shares of topics and turns, who speaks, how much is asked."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.recipes.method import topic_shares
from pipeline.recipes.tg_sft import TgSft
from tests.unit.samples import make_spec

RECIPE = TgSft()


def spec_of(weights, trees, fanouts=(2,)):
    topics = [{"text": f"topic {i}", "weight": weight} for i, weight in enumerate(weights)]
    return make_spec(fanouts, roots={"trees": trees, "topics": topics})


@pytest.mark.parametrize(
    ("weights", "trees", "expected"),
    [
        ([1, 1], 4, [2, 2]),
        ([1, 1, 1], 4, [2, 1, 1]),
        ([5, 3, 2], 7, [4, 2, 1]),
        ([0.98, 0.01, 0.01], 2, [2, 0, 0]),
        ([1, 1, 1], 2, [1, 1, 0]),
    ],
)
def test_topic_shares_go_by_largest_remainder_then_order(weights, trees, expected):
    assert list(topic_shares(spec_of(weights, trees))) == expected


@given(st.lists(st.integers(1, 10_000), min_size=1, max_size=8), st.integers(1, 500))
def test_topic_shares_add_up_and_miss_their_quota_by_less_than_one(weights, trees):
    shares = topic_shares(spec_of(weights, trees))
    assert sum(shares) == trees
    for weight, share in zip(weights, shares, strict=True):
        assert abs(share - Fraction(weight * trees, sum(weights))) < 1


@given(st.lists(st.integers(1, 9), min_size=1, max_size=4), st.integers(1, 9))
def test_roots_follow_the_shares_in_order(weights, trees):
    spec = spec_of(weights, trees, fanouts=(2048,))
    rows = len(weights)
    picked = [RECIPE.picks(spec, rows, tree) for tree in range(RECIPE.num_trees(spec, rows))]
    shares = topic_shares(spec)
    assert picked == [(i,) for i, share in enumerate(shares) for _ in range(2 * share)]
    with pytest.raises(IndexError):
        RECIPE.picks(spec, rows, len(picked))


def test_turns_end_subtrees_as_often_as_their_weights_say():
    spec = make_spec((2, 2, 2, 2, 2, 2), turns={1: 1, 2: 2, 3: 5})
    openings = [(i + 0.5) / 800 for i in range(800)]
    going_on = [sum(RECIPE.expands(spec, o, level) for o in openings) for level in range(1, 7)]
    assert going_on == [800, 700, 700, 500, 500, 0]
    shares = [RECIPE.continuing(spec, level) for level in range(1, 7)]
    assert shares == pytest.approx([1, 7 / 8, 1, 5 / 7, 1, 0])


@given(st.floats(0, 1, exclude_max=True), st.dictionaries(st.integers(1, 3), st.floats(0.01, 9)))
def test_a_dialogue_once_ended_never_goes_on_and_never_ends_with_a_question(opening, turns):
    spec = make_spec((2, 2, 2, 2, 2, 2), turns=turns)
    going_on = [RECIPE.expands(spec, opening, level) for level in range(1, 7)]
    length = going_on.index(False) + 1
    assert not any(going_on[length - 1 :])
    assert length % 2 == 0 and length // 2 in (turns or {3})


def test_roles_alternate_and_oversampling_falls_with_the_level():
    levels = [
        {"role": role, "fanout": 5, "max_tokens": 9}
        for role in ("user", "assistant", "user", "assistant")
    ]
    rules = [RECIPE.rule(make_spec(levels=levels), level) for level in (1, 2, 3, 4)]
    assert [rule.role for rule in rules] == ["user", "assistant", "user", "assistant"]
    assert [rule.asked for rule in rules] == [10, 8, 5, 5]
    assert {rule.fanout for rule in rules} == {5}


def test_rule_samples_as_its_level_says():
    level = {
        "role": "user",
        "fanout": 2,
        "max_tokens": 17,
        "temperature": 0.25,
        "top_p": 0.5,
        "top_k": 9,
        "min_p": 0.125,
        "repetition_penalty": 1.5,
        "stop": ["###"],
        "engine": "big",
    }
    rule = RECIPE.rule(make_spec(levels=[level], logprobs="tokens"), 1)
    said = rule.sampling
    assert rule.group == "big"
    assert (said.max_tokens, said.temperature, said.top_p, said.top_k) == (17, 0.25, 0.5, 9)
    assert (said.min_p, said.repetition_penalty, said.stop_strings) == (0.125, 1.5, ("###",))
    assert said.logprobs == "tokens"
