"""Lengths by count are those of the plain list."""

from math import ceil

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.report.lengths import LengthTally

BLOCKS = st.lists(st.lists(st.integers(0, 500), max_size=30), min_size=1, max_size=5)


@given(BLOCKS)
def test_lengths_are_those_of_all_blocks_together(blocks):
    tally = LengthTally()
    for block in blocks:
        tally.add(np.array(block, dtype=np.int32))
    found, flat = tally.lengths(), [length for block in blocks for length in block]
    assert (found.count, found.tokens) == (len(flat), sum(flat))
    assert sum(found.counts) == len(flat)
    assert len(found.edges) == len(found.counts) + 1
    if flat:
        told = [found.p5, found.median, found.p95, found.longest]
        places = [max(1, ceil(share * len(flat))) - 1 for share in (0.05, 0.5, 0.95, 1)]
        assert told == [sorted(flat)[place] for place in places]
        assert found.mean == pytest.approx(np.mean(flat))
        assert np.histogram(flat, bins=found.edges)[0].tolist() == list(found.counts)
