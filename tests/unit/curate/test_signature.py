"""Signatures, held to datasketch's MinHash."""

import numpy as np
import pytest
from datasketch import MinHash
from hypothesis import given
from hypothesis import strategies as st

from pipeline.curate.shingles import jaccard, shingle_sets, shingles
from pipeline.curate.signature import PERMUTATIONS, merge, signatures

values = st.integers(0, 2**64 - 1)
shingle_lists = st.lists(
    st.one_of(st.lists(values, max_size=5), st.lists(values, max_size=200)), max_size=12
)


def reference(shingle_set):
    """datasketch's own, of the upper half of each shingle."""
    sketch = MinHash(PERMUTATIONS, seed=1, scheme="affine32", hashfunc=lambda v: int(v) >> 32)
    sketch.update_batch(shingle_set)
    return sketch.hashvalues


def arrays(lists):
    return [np.array(sorted(set(own)), dtype=np.uint64) for own in lists]


def randomly(seed, *sizes):
    draw = np.random.default_rng(seed)
    return [np.unique(draw.integers(0, 2**64, size, dtype=np.uint64)) for size in sizes]


@given(shingle_lists)
def test_signatures_any_sets_are_datasketch_s(lists):
    sets = arrays(lists)
    found = signatures(sets)
    assert found.dtype == np.uint32
    assert found.shape == (len(sets), PERMUTATIONS)
    for row, own in zip(found, sets, strict=True):
        assert row.tolist() == reference(own).tolist()


@pytest.mark.parametrize(
    "sizes",
    [
        (31, 32, 33, 64, 65, 1),
        (0, 0, 0),
        (5000, 0, 1, 2049, 3),
        (140_000, 10, 131_072, 131_073),
        (70_000, 70_000, 70_000),
        (100,) * 1500,
        tuple(range(300)),
    ],
)
def test_signatures_sizes_at_the_edges_of_blocks_are_datasketch_s(sizes):
    sets = randomly(1, *sizes)
    for row, own in zip(signatures(sets), sets, strict=True):
        assert np.array_equal(row, reference(own))


def test_signatures_of_texts_are_datasketch_s():
    texts = ["The quick brown fox jumps over the lazy dog", "你好,世界", "👍", ""]
    sets = shingle_sets(texts, "user")
    for row, own in zip(signatures(sets), sets, strict=True):
        assert np.array_equal(row, reference(own))


def test_signatures_empty_set_is_all_ones():
    assert (signatures([np.zeros(0, np.uint64)]) == 0xFFFFFFFF).all()


@given(shingle_lists, st.randoms())
def test_signatures_do_not_depend_on_the_other_sets(lists, random):
    sets = arrays(lists)
    order = random.sample(range(len(sets)), len(sets))
    assert np.array_equal(
        signatures([sets[index] for index in order]), signatures(sets)[np.array(order, np.intp)]
    )


@given(shingle_lists)
def test_merge_is_the_signature_of_the_union(lists):
    union = arrays([[value for own in lists for value in own]])
    assert np.array_equal(merge(signatures(arrays(lists))), signatures(union)[0])


def test_signatures_agree_as_often_as_the_sets_do():
    """Within four standard deviations of the share that 125 permutations estimate."""
    words = [f"word{number}" for number in range(400)]
    for share in (40, 100, 200, 300):
        a, b = (shingles(" ".join(part), "assistant") for part in (words, words[share:]))
        agreed = np.mean(np.equal(*signatures([a, b])))
        true = jaccard(a, b)
        assert abs(agreed - true) < 4 * np.sqrt(true * (1 - true) / PERMUTATIONS)
