"""Shingles and their exact similarity, held to sets of strings."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.curate.shingles import containment, jaccard, jaccards, shingle_sets, shingles
from pipeline.curate.words import normalise
from tests.unit.curate.texts import any_text, is_word_letter

roles = st.sampled_from(["user", "assistant"])
PROSE = "It was the best of times, it was the worst of times, it was the age of wisdom. "


def strings(text, role):
    """The same shingles as strings, by Python's own means."""
    normal = normalise(text)
    words = normal.split(" ")
    if role != "user" and len(words) >= 3 and any(map(is_word_letter, normal)):
        return {" ".join(words[i : i + 3]) for i in range(len(words) - 2)}
    return {normal[i : i + 5] for i in range(max(1, len(normal) - 4))} - {""}


def strings_jaccard(a, b):
    return len(a & b) / len(a | b) if a or b else 1.0


@st.composite
def pairs(draw):
    """Two texts that often have something in common."""
    text = draw(any_text)
    cut, more = draw(st.integers(0, len(text))), draw(any_text)
    return text, draw(st.sampled_from([text[cut:], more + text, text[:cut] + more, more]))


@given(pairs(), roles)
def test_jaccard_any_two_texts_is_that_of_sets_of_strings(texts, role):
    a, b = (shingles(text, role) for text in texts)
    expected_a, expected_b = (strings(text, role) for text in texts)
    assert len(a) == len(expected_a)
    assert jaccard(a, b) == strings_jaccard(expected_a, expected_b)
    shared = len(expected_a & expected_b)
    assert containment(a, b) == (shared / len(expected_a) if expected_a else 1.0)


@given(st.lists(any_text, max_size=8), roles)
def test_shingle_sets_many_texts_are_as_each_alone(texts, role):
    for text, found in zip(texts, shingle_sets(texts, role), strict=True):
        alone = shingles(text, role)
        assert found.dtype == np.uint64
        assert found.tolist() == alone.tolist() == sorted(set(alone.tolist()))


def test_shingle_sets_more_text_than_one_block_is_as_each_alone():
    texts = [PROSE * count for count in (0, 1, 30, 900, 2, 500, 1)]
    for role in ("user", "assistant"):
        found = shingle_sets(texts, role)
        assert [len(own) for own in found] == [len(strings(text, role)) for text in texts]
        assert jaccard(found[2], found[3]) == 1.0
        assert jaccard(found[1], found[6]) == 1.0


@pytest.mark.parametrize("role", ["user", "assistant"])
def test_shingles_same_span_same_hash_wherever_it_stands(role):
    shift = shingles(PROSE, role)
    for before in ("x ", "word " * 37, "word " * 20_000):
        assert containment(shift, shingles(before + PROSE, role)) == 1.0


@pytest.mark.parametrize(
    ("text", "role", "count"),
    [
        ("", "user", 0),
        (" \n", "assistant", 0),
        ("hi", "user", 1),
        ("hi", "assistant", 1),
        ("hello", "user", 1),
        ("hello!", "user", 1),
        ("hello you", "assistant", 5),
        ("one two three", "assistant", 1),
        ("one two three four", "assistant", 2),
        ("a a a a a a", "assistant", 1),
        ("漢字漢字", "assistant", 2),
        ("👍👍👍👍👍👍", "assistant", 1),
        ("\x00", "user", 1),
        ("\x00\x00", "user", 1),
    ],
)
def test_shingles_short_and_odd_texts_counted(text, role, count):
    assert len(shingles(text, role)) == count


def test_shingles_short_texts_that_differ_have_nothing_in_common():
    texts = ["a", "aa", "\x00", "\x00\x00", "ab", "ba", "👍", "yes", "no"]
    sets = shingle_sets(texts, "user")
    assert len({own.item() for own in sets}) == len(texts)


@pytest.mark.parametrize("role", ["user", "assistant"])
def test_shingles_huge_turn_counted(role):
    text = " ".join(f"word{number}" for number in range(12_000))
    found = shingles(text, role)
    assert len(text) > 100_000
    assert len(found) == len(strings(text, role))


def test_shingles_hashes_are_the_same_everywhere():
    """Signatures in committed files rest on these values."""
    words = shingles("The cat sat on the mat", "assistant").tolist()
    assert words[0] == 7507112821601757969
    assert words[-1] == 14925421579409411717
    assert shingles("Catnip", "user").tolist() == [5363888050685169196, 10638930510251424734]


@given(pairs(), roles)
def test_jaccard_is_symmetric_and_one_for_itself(texts, role):
    a, b = (shingles(text, role) for text in texts)
    assert jaccard(a, b) == jaccard(b, a)
    assert jaccard(a, a) == containment(a, a) == 1.0
    assert jaccard(a, b) <= min(containment(a, b), containment(b, a))


SET = st.frozensets(st.integers(0, 2**64 - 1) | st.integers(0, 9), max_size=12).map(
    lambda some: np.array(sorted(some), dtype=np.uint64)
)


@given(SET, st.lists(SET, min_size=1, max_size=8))
def test_jaccards_are_those_one_by_one(own, others):
    assert jaccards(own, others).tolist() == [jaccard(own, other) for other in others]
