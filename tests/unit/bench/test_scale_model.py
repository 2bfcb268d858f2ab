"""Runs in virtual time whose length can be told without going through them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.bench.scale_model import Costs, Engines, Simulation, Tree

TREE = Tree(trees=2, levels=((4, 2), (6, 3), (2, 2)), wave=10)
"""A cohort asks for 8, 24 and 24 candidates."""
FREE = Costs(node_s=0, put_s=0, get_s=0)


def test_a_cohort_with_slots_for_all_takes_a_turn_a_level_and_its_commits() -> None:
    engines = Engines(count=64, rate=6400.0, slots=64, tokens=50, sigma=0)
    costs = Costs(node_s=0, put_s=0.25, get_s=0, puts_per_wave=4)
    timed = Simulation(TREE, engines, costs, cohorts=1).run()
    # Before the first level a claim is made, and the waves of a level are committed together.
    assert timed.seconds == pytest.approx(0.25 + 3 * (50 / 100 + 4 * 0.25))
    assert timed.candidates == TREE.candidates == 56


def test_a_driver_that_is_slower_than_its_engines_decides() -> None:
    engines = Engines(count=8, rate=1e6, slots=64, tokens=10, sigma=0)
    timed = Simulation(TREE, engines, FREE._replace(node_s=0.01), cohorts=50).run()
    assert timed.driver_s == pytest.approx(0.01 * timed.candidates)
    assert timed.driver_s <= timed.seconds < 1.01 * timed.driver_s


@given(st.integers(1, 8), st.integers(1, 60), st.sampled_from([0.0, 0.5]))
def test_everything_planned_is_made_and_no_faster_than_engines_are(
    count: int, cohorts: int, sigma: float
) -> None:
    engines = Engines(count, rate=1000.0, slots=4, tokens=20, sigma=sigma)
    timed = Simulation(TREE, engines, FREE, cohorts).run()
    assert timed.candidates == cohorts * TREE.candidates
    assert timed.waves == cohorts * sum(1 for _ in TREE.waves())
    least = 0 if sigma else timed.candidates * 20 / (count * 1000.0)
    assert timed.seconds >= least * (1 - 1e-9)
