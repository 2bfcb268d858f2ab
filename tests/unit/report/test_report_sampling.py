"""A sample is of the rows that passed, of its size, by its seed, and fair."""

from collections import Counter

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from pipeline.report.sampling import Sample


def drawn(size, seed, blocks):
    sample, start = Sample(size, seed), 0
    for block in blocks:
        sample.offer(pa.table({"n": list(range(start, start + block))}))
        start += block
    rows = sample.rows()
    return sample, [] if rows is None else rows.column("n").to_pylist()


@given(st.integers(1, 20), st.integers(0, 9), st.lists(st.integers(0, 30), max_size=6))
def test_sample_holds_different_rows_of_those_that_passed(size, seed, blocks):
    sample, rows = drawn(size, seed, blocks)
    assert sample.seen == sum(blocks)
    assert len(rows) == len(set(rows)) == min(size, sum(blocks))
    assert set(rows) <= set(range(sum(blocks)))
    assert drawn(size, seed, blocks)[1] == rows
    assert drawn(size, seed, [sum(blocks)])[1] == rows, "where blocks are cut matters not"
    assert drawn(size + 1, seed, blocks)[1][:size] == rows


def test_sample_takes_each_row_equally_often():
    taken = Counter(row for seed in range(600) for row in drawn(5, seed, [10, 10, 5])[1])
    assert set(taken) == set(range(25))
    assert all(75 < times < 170 for times in taken.values()), taken
