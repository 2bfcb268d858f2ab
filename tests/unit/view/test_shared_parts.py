"""The shared parts of two texts."""

from hypothesis import given
from hypothesis import strategies as st

from pipeline.view.shared import MOST_WORDS, shared_parts

WORDS = st.lists(
    st.sampled_from(["a", "The", "the", "bee", " ", "\n", ".", "é", "蜂"]), max_size=30
)
TEXTS = WORDS.map("".join)


def joined(parts):
    return "".join(text for text, _ in parts)


@given(one=TEXTS, other=TEXTS)
def test_shared_parts_are_the_texts_again(one, other):
    ours, theirs = shared_parts(one, other)
    assert (joined(ours), joined(theirs)) == (one, other)


@given(one=TEXTS, other=TEXTS)
def test_shared_parts_say_the_same_on_both_sides(one, other):
    both = [
        "".join("".join(text for text, shared in parts if shared).casefold().split())
        for parts in shared_parts(one, other)
    ]
    assert both[0] == both[1]


@given(text=TEXTS)
def test_shared_parts_of_a_text_with_itself_are_all_of_its_words(text):
    ours, _ = shared_parts(text, text)
    assert not "".join(part for part, shared in ours if not shared).strip()


def test_shared_parts_are_no_lone_marks_and_small_words():
    one, other = "Why, is it one of the bees?", "Well, none of the birds sings?"
    assert shared_parts(one, other) == ([(one, False)], [(other, False)])


def test_shared_parts_of_short_texts_are_small_words_too():
    assert shared_parts("A: Yes.", "(A) Yes.")[0] == [("A: ", False), ("Yes.", True)]


def test_shared_parts_mark_what_differs():
    ours, theirs = shared_parts("Where do bees fly home?", "Where do birds fly home?")
    assert ours == [("Where do", True), (" bees ", False), ("fly home?", True)]
    assert theirs == [("Where do", True), (" birds ", False), ("fly home?", True)]


def test_shared_parts_of_very_long_texts_keep_their_ends():
    long = "word " * (2 * MOST_WORDS)
    ours, _ = shared_parts(long, long)
    assert joined(ours) == long
