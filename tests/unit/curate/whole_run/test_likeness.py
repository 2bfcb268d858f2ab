import numpy as np

from pipeline.curate.vectors import cosines
from pipeline.curate.whole_run.likeness import VectorLikeness


def test_vector_likeness_compares_rows_by_their_vectors():
    vectors = np.array([[127, 0], [127, 127], [0, -127], [0, 0]], dtype=np.int8)
    likeness = VectorLikeness(np.array([3, 5, 8, 9]), vectors)
    found = likeness.similarities(5, np.array([3, 8, 9]))
    assert found.tolist() == cosines(vectors[1:2], vectors[[0, 2, 3]])[0].tolist()
    assert not likeness.same(5, np.array([3, 8])).any()
