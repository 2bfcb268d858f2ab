"""How many are kept is a sum over how many pass."""

from math import comb, sqrt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.plan.keeping import Keeping


@given(st.integers(1, 30), st.integers(1, 30), st.floats(0, 1))
def test_mean_and_deviation_are_those_of_an_enumeration(asked, fanout, chance):
    chances = [comb(asked, k) * chance**k * (1 - chance) ** (asked - k) for k in range(asked + 1)]
    kept = [min(k, fanout) for k in range(asked + 1)]
    mean = sum(c * k for c, k in zip(chances, kept, strict=True))
    square = sum(c * k * k for c, k in zip(chances, kept, strict=True))
    keeping = Keeping(asked, fanout)
    assert keeping.mean(chance) == pytest.approx(mean, abs=1e-9)
    assert keeping.deviation(chance) == pytest.approx(sqrt(max(0, square - mean**2)), abs=1e-5)


def test_many_children_are_no_trouble():
    keeping = Keeping(65_536, 1024)
    assert keeping.mean(0.5) == pytest.approx(1024)
    assert keeping.mean(0.01) == pytest.approx(655.36, rel=1e-6)
    assert keeping.deviation(0.01) == pytest.approx(sqrt(655.36 * 0.99), rel=1e-3)
