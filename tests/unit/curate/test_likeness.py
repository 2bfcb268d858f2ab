import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pipeline.curate.likeness import VectorLikeness, overlaps
from pipeline.curate.shingles import jaccard
from pipeline.curate.vectors import cosines

SET = st.frozensets(st.integers(0, 2**64 - 1) | st.integers(0, 9), max_size=12).map(
    lambda some: np.array(sorted(some), dtype=np.uint64)
)


@given(SET, st.lists(SET, min_size=1, max_size=8))
def test_overlaps_are_the_jaccard_similarities(own, others):
    assert overlaps(own, others).tolist() == [jaccard(own, other) for other in others]


def test_vector_likeness_compares_rows_by_their_vectors():
    vectors = np.array([[127, 0], [127, 127], [0, -127], [0, 0]], dtype=np.int8)
    likeness = VectorLikeness(np.array([3, 5, 8, 9]), vectors)
    found = likeness.similarities(5, np.array([3, 8, 9]))
    assert found.tolist() == cosines(vectors[1:2], vectors[[0, 2, 3]])[0].tolist()
    assert not likeness.same(5, np.array([3, 8])).any()
