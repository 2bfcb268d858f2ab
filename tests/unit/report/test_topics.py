"""Topics: clusters that were planted are found, named by their own words, the same each time."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.report.topics import evenness, topics_of

KINDS = {"rivers": (1, 0, 0), "bread": (0, 1, 0), "stars": (0, 0, 1)}


def planted(each=12):
    rng = np.random.default_rng(3)
    texts = [f"tell me about {kind} number {n}" for kind in KINDS for n in range(each)]
    centres = [KINDS[text.split()[3]] for text in texts]
    return texts, np.array(centres) + rng.normal(0, 0.05, (len(texts), 3))


def test_planted_topics_are_found_and_named():
    texts, vectors = planted()
    found = topics_of(texts, vectors, seen=1000, seed=0)
    for kind in KINDS:
        own = [one for one in found.clusters if kind in one.words]
        assert sum(one.count for one in own) == 12
        assert all(kind in example for one in own for example in one.examples)
    assert not any("about" in one.words for one in found.clusters)
    assert sum(one.count for one in found.clusters) == found.of == len(found.places)
    assert found.seen == 1000


def test_topics_are_the_same_by_seed():
    texts, vectors = planted()
    assert topics_of(texts, vectors, seen=36, seed=5) == topics_of(texts, vectors, seen=36, seed=5)


@pytest.mark.parametrize("count", [1, 8])
def test_openings_that_are_all_alike_are_one_topic(count):
    found = topics_of(["the same"] * count, np.ones((count, 3)), seen=count, seed=0)
    assert [one.count for one in found.clusters] == [count]
    assert found.even == 1 and found.clusters[0].examples == ("the same",)


@given(st.lists(st.integers(0, 50), max_size=8))
def test_evenness_is_one_for_equal_shares_and_never_more(counts):
    assert 0 <= evenness(counts) <= 1 + 1e-9
    assert evenness([7] * max(1, len(counts))) == pytest.approx(1)
