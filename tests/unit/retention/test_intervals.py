import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.intervals import count_flips, mean_interval, paired_interval, share_interval

numbers = st.floats(-1e3, 1e3, allow_nan=False)


def test_mean_interval_by_hand():
    found = mean_interval([1.0, 2.0, 6.0])
    assert found.value == 3
    assert found.se == pytest.approx(math.sqrt(7 / 3))
    # Student's quantile for two degrees of freedom.
    assert found.high - found.value == pytest.approx(4.302653 * found.se, rel=1e-6)
    assert found.value - found.low == pytest.approx(found.high - found.value)


def test_one_value_tells_nothing_of_its_error():
    found = mean_interval([5.0])
    assert (found.value, found.se, found.low, found.high, found.n) == (5, None, None, None, 1)
    assert not found.sure


@pytest.mark.parametrize("after", [[True, False, True], [False] * 3])
def test_values_that_are_all_the_same_tell_nothing_of_their_error(after):
    before = [True, False, True] if after[0] else [True] * 3
    found = paired_interval(before, after)
    assert (found.value, found.n) == (0 if after[0] else -1, 3)
    assert (found.se, found.low, found.high, found.sure) == (None, None, None, False)


@given(st.lists(st.tuples(numbers, numbers), min_size=2, max_size=40))
def test_paired_interval_is_that_of_the_differences(pairs):
    before, after = zip(*pairs, strict=True)
    found = paired_interval(before, after)
    expected = mean_interval([b - a for a, b in pairs])
    assert found == expected
    assert found.low is None or found.low <= found.value <= found.high


@given(st.lists(numbers, min_size=2, max_size=30), st.floats(0.1, 100))
def test_equal_weights_change_nothing(values, weight):
    plain, weighted = mean_interval(values), mean_interval(values, [weight] * len(values))
    assert weighted.value == pytest.approx(plain.value, abs=1e-6)
    assert (weighted.se or 0) == pytest.approx(plain.se or 0, abs=1e-6)


def test_weighted_mean_is_a_ratio_of_sums():
    found = mean_interval([2.0, 4.0], [3.0, 1.0])
    assert found.value == pytest.approx(10 / 4)
    # Residuals 3(2 - 2.5) and 1(4 - 2.5), over a total weight of 4.
    assert found.se == pytest.approx(math.sqrt(2 * (1.5**2 + 1.5**2)) / 4)


def coverage(seed, draw):
    random = np.random.default_rng(seed)
    inside = [found.low <= 0 <= found.high for found in (draw(random) for _ in range(800))]
    return sum(inside) / len(inside)


def test_paired_intervals_hold_the_truth_as_often_as_they_say_and_are_narrower():
    widths = []

    def draw(random):
        items = random.normal(size=30) * 5
        before, after = items + random.normal(size=30), items + random.normal(size=30)
        found = paired_interval(before, after)
        widths.append(found.se / (mean_interval(before).se + mean_interval(after).se))
        return found

    assert 0.93 < coverage(0, draw) < 0.975
    assert max(widths) < 0.45


def test_intervals_over_three_seeds_hold_the_truth_as_often_as_they_say():
    assert 0.93 < coverage(1, lambda random: mean_interval(random.normal(size=3))) < 0.975


def test_weighted_intervals_hold_the_truth_as_often_as_they_say():
    def draw(random):
        tokens = random.integers(20, 257, size=40)
        # Longer texts cost as much a token as shorter ones, with less noise.
        return mean_interval(random.normal(size=40) / np.sqrt(tokens), tokens)

    assert 0.925 < coverage(2, draw) < 0.975


@given(st.lists(st.booleans(), min_size=1, max_size=60))
def test_shares_lie_within_intervals_that_have_a_width(right):
    found = share_interval(right)
    assert 0 <= found.low <= found.value <= found.high <= 1
    assert found.high > found.low


def test_share_interval_by_hand():
    # Wilson's interval for 8 of 10.
    found = share_interval([True] * 8 + [False] * 2)
    assert (found.low, found.high) == pytest.approx((0.49016, 0.94332), abs=1e-4)


def test_flips_count_what_changed_sides():
    before = [True] * 6 + [False] * 4
    after = [False] * 5 + [True] * 2 + [False] * 3
    found = count_flips(before, after)
    assert (found.lost, found.won) == (5, 1)
    # Two-sided: 2 (1 + 6) / 2^6.
    assert found.p == pytest.approx(14 / 64)
    assert count_flips(before, before).p == 1


@given(st.lists(st.tuples(st.booleans(), st.booleans()), max_size=300))
def test_flips_do_not_know_a_direction(pairs):
    one, other = [a for a, _ in pairs], [b for _, b in pairs]
    there, back = count_flips(one, other), count_flips(other, one)
    assert (there.lost, there.won) == (back.won, back.lost)
    assert 0 < there.p == back.p <= 1


def test_values_that_do_not_pair_up_are_refused():
    with pytest.raises(ValueError, match="found 2 and 1 values"):
        paired_interval([1.0, 2.0], [1.0])
    with pytest.raises(ValueError, match="at least one"):
        mean_interval([])
