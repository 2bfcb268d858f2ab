from collections import defaultdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.curate.shingles import shingle_sets
from pipeline.curate.signature import signatures
from pipeline.curate.whole_run.band_table import (
    CHECK_BITS,
    band_entries,
    crowded,
    cut,
    least_equal_bits,
    signature_checks,
    whole_keys,
)

SMALL = st.integers(0, 3)
ENTRIES = st.lists(st.tuples(SMALL, st.sampled_from([0, 1, 2**64 - 1]), SMALL), max_size=30)


def table_of(entries):
    """Entries (key, check bits, group), numbered as rows."""
    columns = [np.array(column, dtype=np.uint64) for column in zip(*entries, strict=True)]
    keys, checks, groups = columns or [np.zeros(0, dtype=np.uint64)] * 3
    # Keys that differ in all bits, so that partitions tell them apart.
    spread = keys[:, np.newaxis] * np.uint64(0x9E3779B97F4A7C15)
    return band_entries(spread, checks, np.arange(len(keys)), groups.astype(np.int64))


def met(entries, least):
    """By hand: the rows that share a key with one of another group, check bits nearly equal."""
    found = set()
    for row, (key, check, group) in enumerate(entries):
        for other, (other_key, other_check, other_group) in enumerate(entries):
            differing = bin(check ^ other_check).count("1")
            if key == other_key and group != other_group and CHECK_BITS - differing >= least:
                found |= {row, other}
    return found


@given(ENTRIES, st.sampled_from([0, 63, 64]), st.integers(1, 5))
def test_crowded_gives_back_who_met_whatever_the_partitions(entries, least, partitions):
    halves = [table_of(entries)[::2], table_of(entries)[1::2]]
    parts = [cut(half, partitions) for half in halves]
    joined = [crowded([part[i] for part in parts], least) for i in range(partitions)]
    assert sorted(row for table in joined for row in table["row"].tolist()) == sorted(
        met(entries, least)
    )


@given(ENTRIES, st.integers(1, 7))
def test_cut_keeps_all_entries_and_each_key_in_one_partition(entries, partitions):
    table = table_of(entries)
    parts = cut(table, partitions)
    assert len(parts) == partitions
    assert sorted(row for part in parts for row in part["row"].tolist()) == list(range(len(table)))
    homes = defaultdict(set)
    for number, part in enumerate(parts):
        for key in part["key"].tolist():
            homes[key].add(number)
    assert all(len(numbers) == 1 for numbers in homes.values())


def test_crowded_key_of_very_many_rows_gives_them_all_back():
    count = 3000
    table = band_entries(
        np.zeros((count, 1), dtype=np.uint64),
        np.zeros(count, dtype=np.uint64),
        np.arange(count),
        np.arange(count),
    )
    assert len(crowded([table], CHECK_BITS)) == count


@pytest.mark.parametrize("threshold", [0.7, 0.8, 0.9])
def test_least_equal_bits_lets_nearly_all_pairs_at_the_threshold_pass(threshold):
    draw = np.random.default_rng(0)
    pairs, shared = 400, 600
    only = round(shared * (1 - threshold) / (2 * threshold))
    sets = draw.integers(0, 2**64, (pairs, shared + 2 * only), dtype=np.uint64)
    left = [np.unique(one[: shared + only]) for one in sets]
    right = [np.unique(np.append(one[:shared], one[shared + only :])) for one in sets]
    checks = [signature_checks(signatures(side)) for side in (left, right)]
    equal = CHECK_BITS - np.bitwise_count(checks[0] ^ checks[1])
    assert (equal >= least_equal_bits((1 + threshold) / 2)).mean() > 0.99
    others = np.roll(checks[1], 1)
    far = CHECK_BITS - np.bitwise_count(checks[0] ^ others)
    assert (far < least_equal_bits((1 + threshold) / 2)).mean() > 0.95


def test_signature_checks_do_not_depend_on_the_lowest_bits_of_shingles():
    """Small sets that differ by little: their shingles' own bits must not decide all check bits."""
    same = np.arange(40, dtype=np.uint64) << np.uint64(33)
    odd = [np.sort(np.append(same, np.uint64(i) << np.uint64(32))) for i in range(1, 101, 2)]
    plain = signature_checks(signatures([same]))
    equal = CHECK_BITS - np.bitwise_count(signature_checks(signatures(odd)) ^ plain)
    assert equal.min() >= least_equal_bits((1 + 40 / 41) / 2)


@given(st.lists(st.text(alphabet="ab \n", max_size=12), min_size=1, max_size=8))
def test_whole_keys_are_equal_where_signatures_are(texts):
    found = signatures(shingle_sets(texts, "user"))
    keys = whole_keys(found)[:, 0].tolist()
    assert len(keys) == len(texts)
    for i, key in enumerate(keys):
        for j, other in enumerate(keys):
            assert (key == other) == np.array_equal(found[i], found[j])
