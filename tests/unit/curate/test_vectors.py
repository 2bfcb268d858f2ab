"""int8 vectors, and cosines that no order of summation can change."""

from math import sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from pipeline.curate.vectors import Directions, cosines, quantise

WIDTHS = st.sampled_from([1, 2, 7, 64, 256, 384, 768, 1024])


def int8_matrix(rows: int, width: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(-127, 128, (rows, width)).astype(np.int8)


def slow_cosine(a: np.ndarray, b: np.ndarray) -> float:
    """By integers of any size."""
    left, right = list(map(int, a)), list(map(int, b))
    squares = sum(x * x for x in left) * sum(y * y for y in right)
    return sum(x * y for x, y in zip(left, right, strict=True)) / sqrt(squares) if squares else 0.0


@given(
    hnp.arrays(
        np.float32,
        st.tuples(st.integers(0, 5), st.integers(1, 9)),
        elements=st.floats(allow_nan=False, allow_infinity=False, width=32),
    )
)
def test_quantise_scales_the_largest_number_to_127(vectors):
    found = quantise(vectors)
    assert found.dtype == np.int8 and found.shape == vectors.shape
    largest = np.abs(found).max(axis=1, initial=0)
    assert largest.tolist() == [127 if row.any() else 0 for row in vectors]
    assert not (np.sign(found) * np.sign(vectors) < 0).any()


def test_quantise_rounds_halves_to_even():
    halves = np.array([[127.0, 0.5, 1.5, 2.5, -0.5, -1.5, -2.5]], dtype=np.float32)
    assert quantise(halves).tolist() == [[127, 0, 2, 2, 0, -2, -2]]


@pytest.mark.parametrize("scale", [1e-38, 1.0, 1e30])
def test_quantise_takes_no_notice_of_length(scale):
    vector = np.array([[0.1, -0.7, 0.25]], dtype=np.float32)
    assert quantise(vector * np.float32(scale)).tolist() == quantise(vector).tolist()


def test_quantise_refuses_what_is_no_number():
    for broken in (np.nan, np.inf):
        with pytest.raises(ValueError, match="vector 1"):
            quantise(np.array([[1.0, 2.0], [1.0, broken]], dtype=np.float32))


@given(st.integers(0, 6), st.integers(0, 6), WIDTHS, st.integers(0, 9))
def test_cosines_are_those_of_integers_of_any_size(rows, others, width, seed):
    left, right = int8_matrix(rows, width, seed), int8_matrix(others, width, seed + 10)
    if rows and others:
        left[0], right[0] = 0, left[-1]
    assert cosines(left, right).tolist() == [[slow_cosine(a, b) for b in right] for a in left]


@pytest.mark.parametrize("width", [256, 1024, 1025, 4096])
def test_summation_order_cannot_matter(width):
    """The largest dot products there are, forwards, backwards and by int64."""
    edge = np.full((3, width), 127, dtype=np.int8)
    edge[1, ::2], edge[2] = -127, -128
    rest = int8_matrix(61, width, width)
    vectors = np.concatenate([edge, rest])
    whole = vectors.astype(np.int64) @ vectors.T.astype(np.int64)
    squares = np.diag(whole).astype(np.float64)
    expected = whole / np.sqrt(np.multiply.outer(squares, squares))
    order = np.random.default_rng(0).permutation(width)
    for columns in (slice(None), slice(None, None, -1), order):
        assert np.array_equal(cosines(vectors[:, columns], vectors[:, columns]), expected)


@given(st.integers(1, 40), WIDTHS, st.integers(0, 9))
def test_one_row_and_all_rows_agree(rows, width, seed):
    directions = Directions(int8_matrix(rows, width, seed))
    assert np.array_equal(directions.with_one(rows // 2), directions.cosines(directions)[rows // 2])


def test_cosine_with_itself_is_one_and_with_nothing_is_zero():
    vectors = np.concatenate([int8_matrix(300, 64, 1), np.zeros((1, 64), dtype=np.int8)])
    found = cosines(vectors, vectors)
    assert np.diag(found).tolist() == [1.0] * 300 + [0.0]
    assert not found[-1].any() and np.abs(found).max() <= 1.0


def test_quantised_cosines_are_near_the_true_ones():
    vectors = np.random.default_rng(3).normal(size=(50, 256)).astype(np.float32)
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    found = quantise(vectors)
    assert np.abs(cosines(found, found) - unit @ unit.T).max() < 0.01


def test_vectors_without_dimensions_are_not_known():
    assert not Directions(np.zeros((3, 0), dtype=np.int8)).known
    assert Directions(np.zeros((0, 3), dtype=np.int8)).known
