import pytest

from pipeline.retention.compare import compare
from schemas.errors import SpecError
from schemas.retention import Retention
from tests.unit.retention.measured import choices, measured


def test_choices_are_compared_item_by_item():
    before = measured(choices={"capitals": choices((-1, -2), (-2, -1.5), (-1, -3))})
    after = measured(choices={"capitals": choices((-2, -1), (-1, -2), (-1, -2))})
    accuracy, margin = compare(before, after).changes
    assert (accuracy.before.value, accuracy.after.value) == pytest.approx((2 / 3, 2 / 3))
    assert (accuracy.flips.lost, accuracy.flips.won) == (1, 1)
    assert accuracy.difference.value == 0 and accuracy.chance == 0.5
    assert margin.before.value == pytest.approx((1 - 0.5 + 2) / 3)
    assert margin.difference.value == pytest.approx((-2 + 1.5 - 1) / 3)


def test_equal_scores_are_not_right():
    assert choices((-1, -1)).right == (False,)


def test_nats_a_token_are_those_of_all_texts_together():
    (change,) = compare(measured(nll=(10.0, 90.0)), measured(nll=(12.0, 120.0))).changes
    # Of 10 and 30 tokens.
    assert change.before.value == pytest.approx(100 / 40)
    assert change.difference.value == pytest.approx(32 / 40)
    assert not change.higher_is_better


def test_verdict_needs_an_interval_without_zero():
    before = measured(nll=tuple([10.0] * 8), tokens=tuple([5] * 8))
    falls = [9.0, 8.5, 9.2, 8.8, 9.1, 8.9, 9.3, 8.7]
    found = {
        "better": falls,
        "worse": [20 - fall for fall in falls],
        "unsure": [10 + (-1) ** n * fall for n, fall in enumerate(falls)],
    }
    for verdict, nll in found.items():
        (change,) = compare(before, measured(nll=tuple(nll), tokens=tuple([5] * 8))).changes
        assert change.verdict == verdict


def test_models_that_were_asked_otherwise_are_not_compared():
    one = measured(choices={"capitals": choices((-1, -2))})
    other = measured(choices={"capitals": choices((-1, -2), items="other")})
    with pytest.raises(SpecError, match=r"choices\.capitals: .* were not asked the same"):
        compare(one, other)
    with pytest.raises(SpecError, match=r"only one of them was asked choices\.capitals"):
        compare(one, measured())


def test_comparison_is_the_same_after_a_way_through_json():
    found = compare(
        measured(choices={"a": choices((-1, -2))}, nll=(3.0, 4.0)),
        measured(choices={"a": choices((-1, -0.5))}, nll=(3.5, 4.0)),
    )
    assert Retention.model_validate_json(found.model_dump_json()) == found
    assert found.change("choices", "a", "accuracy").flips.lost == 1
    assert found.after.figures()["choices.a.margin"] == -0.5


def test_models_measured_under_other_conditions_are_not_compared():
    one = measured(nll=(1.0, 2.0))
    for update in ({"dtype": "bfloat16"}, {"device": "cuda:0"}):
        other = one.model_copy(update=update)
        with pytest.raises(SpecError, match="expected the same kind of device and of numbers"):
            compare(one, other)
    first, second = (one.model_copy(update={"device": f"cuda:{n}"}) for n in (0, 1))
    assert compare(first, second).changes
