import numpy as np
import pytest

from pipeline.curate.vectors import cosines, quantise
from pipeline.curate.whole_run.band_table import CHECK_BITS, least_equal_bits
from pipeline.curate.whole_run.planes import (
    MOST_BANDS,
    RECALL,
    agreement,
    choose_bands,
    vector_keys,
)


def pairs_at(cosine: float, count: int, dimensions: int = 256) -> tuple[np.ndarray, np.ndarray]:
    """Vectors, and others at this cosine to them."""
    draw = np.random.default_rng(3)
    left = draw.standard_normal((count, dimensions))
    left /= np.linalg.norm(left, axis=1, keepdims=True)
    away = draw.standard_normal((count, dimensions))
    away -= (away * left).sum(axis=1, keepdims=True) * left
    away /= np.linalg.norm(away, axis=1, keepdims=True)
    right = cosine * left + np.sqrt(1 - cosine**2) * away
    return quantise(left.astype(np.float32)), quantise(right.astype(np.float32))


@pytest.mark.parametrize("cosine", [0.7, 0.8, 0.9, 0.95, 0.99])
def test_choose_bands_finds_pairs_at_the_threshold(cosine):
    bits, bands = choose_bands(cosine)
    assert 1 - (1 - agreement(cosine) ** bits) ** bands >= RECALL
    left, right = pairs_at(cosine, 600)
    keys = [vector_keys(side, bits, bands) for side in (left, right)]
    shared = (keys[0][0] == keys[1][0]).any(axis=1)
    equal = CHECK_BITS - np.bitwise_count(keys[0][1] ^ keys[1][1])
    found = shared & (equal >= least_equal_bits(agreement(cosine)))
    assert found.mean() > RECALL - 0.02


def test_choose_bands_takes_few_keys_of_many_bits_for_high_cosines():
    settings = [choose_bands(cosine) for cosine in (0.7, 0.8, 0.9, 0.99, 1.0)]
    bits = [some for some, _ in settings]
    assert bits == sorted(bits)
    assert all(1 <= bands <= MOST_BANDS for _, bands in settings)


def test_vector_keys_tell_bands_and_unlike_vectors_apart():
    bits, bands = choose_bands(0.9)
    draw = np.random.default_rng(4)
    vectors = quantise(draw.standard_normal((200, 64)).astype(np.float32))
    keys, _ = vector_keys(vectors, bits, bands)
    assert np.abs(cosines(vectors, vectors) - np.eye(200)).max() < 0.7
    assert len(np.unique(keys)) > 0.99 * keys.size


def test_vector_keys_of_a_vector_do_not_depend_on_its_company():
    left, _ = pairs_at(0.9, 10)
    keys, checks = vector_keys(left, 8, 6)
    alone = [vector_keys(left[row : row + 1], 8, 6) for row in range(10)]
    assert np.array_equal(keys, np.concatenate([one for one, _ in alone]))
    assert np.array_equal(checks, np.concatenate([one for _, one in alone]))
