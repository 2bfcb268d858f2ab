"""Texts of any kind for property tests of curation."""

import unicodedata

from hypothesis import strategies as st

ALPHABET = "ab AB,é\u0301ßﬁ\uff21漢字かカﾊﾞไทยမြန်မာहिन्दी한국어עִב👍🏽❤\ufe0f\u200d\x00\x1f\n\u2028"

any_text = st.one_of(
    st.text(alphabet=ALPHABET, max_size=40),
    st.text(max_size=40),
    st.text(alphabet="ab ", max_size=60),
    st.lists(st.sampled_from(["the", "a", "cat", "sat", "猫", "👍", "..."]), max_size=20).map(
        " ".join
    ),
)


def is_mark(letter):
    """A mark that belongs to the letter before it."""
    is_selector = "VARIATION SELECTOR" in unicodedata.name(letter, "")
    return unicodedata.category(letter) in ("Mn", "Mc") and not is_selector


def is_word_letter(letter):
    """Part of a word, as Python sees it."""
    return letter.isalnum() or letter == "_" or is_mark(letter)
