import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pipeline.storage.spill import Spill

ARRAYS = st.lists(st.lists(st.integers(0, 2**64 - 1), max_size=5), max_size=12)


@given(ARRAYS, st.sampled_from([0, 24, 1 << 20]), st.integers(1, 4))
def test_spill_gives_back_what_was_added(arrays, limit, at_once):
    spill = Spill(np.uint64, limit)
    for start in range(0, len(arrays), at_once):
        some = arrays[start : start + at_once]
        flat = np.array([number for one in some for number in one], dtype=np.uint64)
        spill.extend(flat, [len(one) for one in some])
        assert spill[start].tolist() == arrays[start]
    assert [spill[index].tolist() for index in range(len(arrays))] == arrays
    joined = [number for chunk in spill.chunks() for number in chunk.tolist()]
    assert joined == [number for one in arrays for number in one]
