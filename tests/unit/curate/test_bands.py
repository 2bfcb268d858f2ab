"""Bands: rows meet where five values in a row agree, in the same band and scope."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from pipeline.curate.bands import BANDS, ROWS, Buckets, band_keys
from pipeline.curate.signature import PERMUTATIONS

few_values = arrays(
    np.uint32,
    st.tuples(st.integers(0, 12), st.just(PERMUTATIONS)),
    elements=st.sampled_from([0, 1, 2**32 - 1]),
    fill=st.just(7),
)


def distinct(rows):
    """Signatures of which no two values are the same."""
    return np.arange(rows * PERMUTATIONS, dtype=np.uint32).reshape(rows, PERMUTATIONS)


def meet(signatures, scopes, row):
    """The rows that agree with one in a band, by comparing all values."""
    bands = signatures.reshape(-1, BANDS, ROWS)
    agree = (bands == bands[row]).all(axis=2).any(axis=1) & (scopes == scopes[row])
    agree[row] = False
    return np.flatnonzero(agree).tolist()


@given(few_values, st.data())
def test_neighbours_are_those_that_agree_in_a_band_and_scope(signatures, data):
    scope = st.integers(-1, 1)
    scopes = np.array(
        data.draw(st.lists(scope, min_size=len(signatures), max_size=len(signatures)))
    )
    buckets = Buckets(band_keys(signatures, scopes))
    expected = [meet(signatures, scopes, row) for row in range(len(signatures))]
    assert [buckets.neighbours(row).tolist() for row in range(len(signatures))] == expected
    assert buckets.rows.tolist() == [row for row, others in enumerate(expected) if others]


def test_neighbours_one_band_is_enough_and_four_rows_are_not():
    signatures = distinct(4)
    signatures[1, 5:10] = signatures[0, 5:10]
    signatures[2, 5:9] = signatures[0, 5:9]
    signatures[3, 7:12] = signatures[0, 7:12]
    buckets = Buckets(band_keys(signatures))
    assert [buckets.neighbours(row).tolist() for row in range(4)] == [[1], [0], [], []]


def test_neighbours_the_same_values_in_another_band_do_not_meet():
    signatures = distinct(2)
    signatures[1, 10:15] = signatures[0, 5:10]
    assert not len(Buckets(band_keys(signatures)).rows)


def test_neighbours_the_same_values_in_another_order_do_not_meet():
    signatures = distinct(2)
    signatures[1, 5:10] = signatures[0, 5:10][::-1]
    assert not len(Buckets(band_keys(signatures)).rows)


def test_neighbours_scopes_part_even_equal_signatures():
    signatures = np.repeat(distinct(1), 6, axis=0)
    buckets = Buckets(band_keys(signatures, np.array([0, 1, 0, 2, 1, 0])))
    assert [buckets.neighbours(row).tolist() for row in (0, 1, 3)] == [[2, 5], [4], []]


@pytest.mark.parametrize("rows", [0, 1])
def test_neighbours_alone_has_none(rows):
    buckets = Buckets(band_keys(distinct(rows)))
    assert not len(buckets.rows)
    assert [buckets.neighbours(row).tolist() for row in range(rows)] == [[]] * rows


def test_neighbours_large_family_and_many_strangers():
    signatures = distinct(3000)
    family = np.arange(0, 3000, 2)
    signatures[family] = signatures[0]
    buckets = Buckets(band_keys(signatures))
    assert buckets.rows.tolist() == family.tolist()
    assert buckets.neighbours(2).tolist() == [row for row in family.tolist() if row != 2]
    assert not len(buckets.neighbours(1))


def test_neighbours_pair_among_many_rows():
    signatures = distinct(3000)
    signatures[2000, :5] = signatures[10, :5]
    buckets = Buckets(band_keys(signatures))
    assert buckets.neighbours(10).tolist() == [2000]
    assert buckets.neighbours(2000).tolist() == [10]


def test_band_keys_are_found_as_often_as_the_formula_says():
    """1 - (1 - s^5)^25, within four standard deviations over 2,000 pairs."""
    draw = np.random.default_rng(3)
    first = draw.integers(0, 2**32, (2000, PERMUTATIONS), dtype=np.uint32)
    for similarity in (0.4, 0.5, 0.6, 0.8):
        agree = draw.random(first.shape) < similarity
        second = np.where(agree, first, first + np.uint32(1))
        met = (band_keys(first) == band_keys(second)).any(axis=1).mean()
        expected = 1 - (1 - similarity**ROWS) ** BANDS
        assert abs(met - expected) < 4 * np.sqrt(expected * (1 - expected) / 2000)
