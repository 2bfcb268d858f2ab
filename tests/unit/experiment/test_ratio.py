"""Fieller's interval against its definition, and where it has no bound."""

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.experiment.ratio import fieller

T = 4.302652729749464
"""Student's, two degrees of freedom, 95%."""
NUMBERS = st.lists(st.floats(-10, 10), min_size=3, max_size=3)


@st.composite
def divisors(draw):
    """Clearly other than zero."""
    middle = draw(st.floats(2, 10)) * draw(st.sampled_from((1, -1)))
    return [middle * (1 + off) for off in draw(st.tuples(*[st.floats(-0.15, 0.15)] * 3))]


def further_than_t(above, below, ratio):
    """By how much the mean of above - ratio x below exceeds t standard errors."""
    n = len(above)
    off = [a - ratio * b for a, b in zip(above, below, strict=True)]
    mean = sum(off) / n
    error = math.sqrt(sum((x - mean) ** 2 for x in off) / (n - 1) / n)
    return abs(mean) - T * error


@given(NUMBERS, divisors())
def test_fieller_bounds_are_where_the_difference_is_t_errors_from_zero(above, below):
    found = fieller(above, below, T)
    assert found.low - 1e-6 <= found.value <= found.high + 1e-6
    for bound in (found.low, found.high):
        assert further_than_t(above, below, bound) == pytest.approx(0, abs=1e-4)


@given(NUMBERS, divisors(), st.floats(0.1, 10))
def test_fieller_does_not_depend_on_the_unit(above, below, unit):
    one = fieller(above, below, T)
    other = fieller([unit * a for a in above], [unit * b for b in below], T)
    assert other.low == pytest.approx(one.low, rel=1e-3, abs=1e-3)
    assert other.high == pytest.approx(one.high, rel=1e-3, abs=1e-3)


def test_fieller_without_variation_is_the_ratio():
    assert fieller([2, 2, 2], [4, 4, 4], T) == (0.5, 0.5, 0.5)


def test_fieller_divisor_in_doubt_has_no_bound():
    found = fieller([0.1, 0.2, 0.0], [1.0, -1.1, 0.3], T)
    assert (found.low, found.high) == (None, None)


def test_fieller_one_pair_has_no_bound():
    assert fieller([1.0], [2.0], T) == (0.5, None, None)


def test_fieller_covers_the_truth_about_as_often_as_it_says():
    rng = random.Random(0)
    covered = tries = 0
    for _ in range(2000):
        common = [rng.gauss(0, 0.3) for _ in range(3)]
        below = [2 - c for c in common]
        above = [1.6 - c + rng.gauss(0, 0.1) for c in common]
        found = fieller(above, below, T)
        tries += 1
        covered += found.low is None or found.low <= 0.8 <= found.high
    assert 0.93 < covered / tries < 0.97
