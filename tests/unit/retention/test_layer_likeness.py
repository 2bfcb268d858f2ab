import numpy as np
import pytest
import torch
from scipy.stats import ortho_group

from pipeline.retention.cka import Likeness


def cka(x, y, parts=1):
    found = Likeness()
    for one, other in zip(np.array_split(x, parts), np.array_split(y, parts), strict=True):
        found.add(torch.from_numpy(one), torch.from_numpy(other))
    return found.value()


@pytest.fixture
def states():
    random = np.random.default_rng(0)
    x = random.normal(size=(200, 8)) + random.normal(size=8) * 1000
    y = x @ random.normal(size=(8, 5)) + random.normal(size=(200, 5)) * 3
    return x, y


def test_cka_equals_a_direct_computation_however_it_is_streamed(states):
    x, y = states
    xc, yc = x - x.mean(0), y - y.mean(0)
    norm = np.linalg.norm
    expected = norm(yc.T @ xc) ** 2 / (norm(xc.T @ xc) * norm(yc.T @ yc))
    assert 0.1 < expected < 0.99
    for parts in (1, 3, 200):
        assert cka(x, y, parts) == pytest.approx(expected, abs=1e-9)


def test_cka_does_not_see_turns_scales_and_shifts(states):
    x, y = states
    turned = 7.5 * y @ ortho_group.rvs(5, random_state=1) + 40
    assert cka(x, turned, 4) == pytest.approx(cka(x, y), abs=1e-9)
    assert cka(x, 0.01 * x @ ortho_group.rvs(8, random_state=2)) == pytest.approx(1)


def test_cka_of_unrelated_states_is_small_and_of_still_ones_zero():
    random = np.random.default_rng(1)
    x, y = random.normal(size=(4000, 6)), random.normal(size=(4000, 6))
    assert cka(x, y, 5) < 0.02
    assert cka(x, np.ones((4000, 3)), 5) == 0
