"""Measures of diversity, against counting by hand and against all pairs."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from pipeline.report.diversity import (
    distinct,
    diversity_of,
    least_words,
    repetition,
    similarities,
    words_of,
)

WORDS = st.lists(st.sampled_from(["tree", "root", "leaf", "moss"]), max_size=12)
VECTORS = arrays(np.float64, st.tuples(st.integers(0, 8), st.just(3)), elements=st.integers(-3, 3))


def test_distinct_counts_ngrams_within_texts_only():
    assert distinct([["a", "b", "a"], ["b", "a"]], 2) == 2 / 3
    assert distinct([["a"], ["b"]], 2) == 0
    assert distinct([["a", "a"], ["a"]], 1) == 1 / 3


@given(st.lists(WORDS, max_size=6), st.integers(1, 4))
def test_distinct_lies_between_none_and_all_and_doubling_halves_it(texts, n):
    share = distinct(texts, n)
    assert 0 <= share <= 1
    assert distinct([*texts, *texts], n) == pytest.approx(share / 2)


def test_repetition_is_of_one_text():
    assert repetition(list("abcdabcd")) == pytest.approx(1 / 5)
    assert repetition(list("abc")) == 0


@given(VECTORS)
def test_similarities_are_those_of_all_pairs(vectors):
    known = [row / np.linalg.norm(row) for row in vectors if row.any()]
    mean, nearest = similarities(vectors)
    if len(known) < 2:
        assert (mean, nearest) == (None, None)
        return
    assert mean == pytest.approx(np.mean([a @ b for a, b in combinations(known, 2)]), abs=1e-9)
    best = [max(a @ b for j, b in enumerate(known) if j != i) for i, a in enumerate(known)]
    assert nearest == pytest.approx(np.median(best), abs=1e-9)


def test_diversity_counts_as_many_words_of_each_level():
    short, long = ["One two three."] * 20, ["Four, five; SIX seven."] * 40
    budget = least_words([short, long, ["too few"]])
    assert budget == 60
    found = diversity_of(long, np.eye(40), budget)
    assert (found.texts, found.words) == (40, 60)
    assert found.distinct["1"] == pytest.approx(4 / 60)
    assert (found.similarity, found.nearest) == (0, 0)
    assert words_of("Four, five; SIX") == ["four", "five", "six"]
