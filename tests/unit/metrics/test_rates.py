"""Sums over engines that come and go, and their speed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.metrics.rates import LEAST_S, WINDOW_S, Rate, Tokens, Totals
from schemas.records import EngineStats


def engines(**tokens: int) -> dict[str, EngineStats]:
    return {
        name: EngineStats(tokens=n, prompt_tokens=2 * n, cached_tokens=n // 2)
        for name, n in tokens.items()
    }


def test_totals_go_on_when_an_engine_is_replaced_or_goes():
    totals = Totals()
    totals.see(engines(a=100, b=50))
    totals.see(engines(a=120))
    # Another engine under the name of the one that went, and one in the place of `a`.
    totals.see(engines(a=10, b=5))
    assert totals.tokens == Tokens(120 + 10 + 50 + 5, 2 * 185, 60 + 5 + 25 + 2)


def test_totals_count_engines_of_a_new_pool_from_nothing():
    totals = Totals()
    totals.see(engines(a=100))
    totals.forget()
    totals.see(engines(a=150))
    assert totals.tokens.sampled == 250


@given(st.lists(st.dictionaries(st.sampled_from("abc"), st.integers(0, 1000)), max_size=20))
def test_totals_never_fall(looks: list[dict[str, int]]):
    totals, before = Totals(), Tokens()
    for look in looks:
        totals.see(engines(**look))
        assert all(now >= then for now, then in zip(totals.tokens, before, strict=True))
        before = totals.tokens


def test_rate_is_unknown_until_it_means_something():
    rate = Rate()
    assert rate.per_s is None
    for second in range(int(LEAST_S)):
        rate.see(second, 100.0 * second)
        assert rate.per_s is None
    rate.see(LEAST_S, 100 * LEAST_S)
    assert rate.per_s == pytest.approx(100)


def test_rate_forgets_what_is_older_than_its_window():
    rate = Rate()
    total = 0.0
    for second in range(1000):
        total += 10 if second < 500 else 30
        rate.see(second, total)
        assert rate.over_s <= WINDOW_S
    assert rate.per_s == pytest.approx(30)


def test_rate_of_what_stands_still_falls_to_nothing():
    rate = Rate()
    for second in range(200):
        rate.see(second, min(second, 50))
    assert rate.per_s == 0


@given(st.lists(st.tuples(st.floats(0, 30), st.integers(0, 10**6)), min_size=2, max_size=60))
def test_rate_lies_between_the_slowest_and_the_fastest_step(steps: list[tuple[float, int]]):
    rate, now, total, speeds = Rate(), 0.0, 0, []
    rate.see(now, total)
    kept = (now, total)
    for pause, more in steps:
        now, total = now + 1.0 + pause, total + more
        rate.see(now, total)
        speeds.append((total - kept[1]) / (now - kept[0]))
        kept = (now, total)
    if rate.per_s is not None:
        assert min(speeds) * 0.999 <= rate.per_s <= max(speeds) * 1.001
