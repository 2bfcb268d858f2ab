import numpy as np

from pipeline.curate.vectors import cosines
from pipeline.curate.whole_run.grove import Grove
from pipeline.curate.whole_run.likeness import ConversationLikeness, Said, VectorLikeness


def test_conversation_likeness_is_of_answers_to_one_prompt():
    """Four trees of a root and an answer; the first and the third answer the same."""
    grove = Grove(
        trees=np.repeat(np.arange(4, dtype=np.int32), 2),
        levels=np.tile(np.array([0, 1], dtype=np.int16), 4),
        answers=np.tile([False, True], 4),
        given=np.tile([True, False], 4),
        prompts=np.array([7, 8, 7, 0], dtype=np.uint64),
    )
    yes = Said(b"yes", np.array([1, 2], dtype=np.uint64))
    likeness = ConversationLikeness(grove, dict.fromkeys((1, 3, 5, 7), yes))
    others = np.array([1, 3, 7])
    assert likeness.same(5, others).tolist() == [True, False, False]
    assert likeness.similarities(5, others).tolist() == [1.0, 0.0, 0.0]


def test_vector_likeness_compares_rows_by_their_vectors():
    vectors = np.array([[127, 0], [127, 127], [0, -127], [0, 0]], dtype=np.int8)
    likeness = VectorLikeness(np.array([3, 5, 8, 9]), vectors)
    found = likeness.similarities(5, np.array([3, 8, 9]))
    assert found.tolist() == cosines(vectors[1:2], vectors[[0, 2, 3]])[0].tolist()
    assert not likeness.same(5, np.array([3, 8])).any()
