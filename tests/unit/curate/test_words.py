"""Words of texts in any script, and the form in which texts are compared."""

import unicodedata
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.curate.words import find_words, fold, normalise
from tests.unit.curate.texts import any_text, is_mark, is_word_letter

SPACELESS = (
    *(
        "CJK UNIFIED",
        "CJK COMPATIBILITY IDEO",
        "HIRAGANA",
        "KATAKANA",
        "HENTAIGANA",
        "COMBINING KATA",
        "THAI",
    ),
    *("LAO", "MYANMAR", "KHMER", "TAI LE", "NEW TAI LUE", "TAI THAM", "BALINESE", "JAVANESE"),
    *("IDEOGRAPHIC ITERATION", "IDEOGRAPHIC CLOSING", "IDEOGRAPHIC NUMBER"),
)


def is_spaceless(letter):
    return is_word_letter(letter) and unicodedata.name(letter, "").startswith(SPACELESS)


def words_one_by_one(folded):
    """What `find_words` says, a character at a time."""
    words, last = [], ""
    for letter in folded:
        begins = not is_word_letter(last) if last else True
        if not is_mark(letter):
            begins = begins or is_spaceless(letter) or is_spaceless(last or " ")
        if is_word_letter(letter):
            words[len(words) - (not begins) :] = [letter if begins else words[-1] + letter]
        last = letter
    return words


def cut(folded):
    codes, _, starts, ends, firsts = find_words(folded)
    spans = list(zip(starts, ends, strict=True))
    words = ["".join(map(chr, codes[start:end].tolist())) for start, end in spans]
    return [words[a:b] for a, b in pairwise(firsts)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("  Hello,\n WORLD!  it's", "hello world it s"),
        ("Straße STRASSE", "strasse strasse"),
        ("\uff37\uff29\uff24\uff25\u3000ﬁ", "wide fi"),
        ("cafe\u0301 CAFÉ", "café café"),
        ("漢字とkana", "漢 字 と kana"),
        ("ﾊﾞｽ", "バ ス"),
        ("ที่นี่", "ที่ นี่"),
        ("हिन्दी भाषा", "हिन्दी भाषा"),
        ("한국어 문장", "한국어 문장"),
        ("a_b 12", "a_b 12"),
        ("👍 👍🏽  ❤\ufe0f", "👍 👍🏽 ❤\ufe0f"),
        ("👍 yes 👍", "yes"),
        ("\x00\x01", "\x00\x01"),
        ("...\n\t!", "... !"),
        (" \n\t", ""),
        ("", ""),
    ],
)
def test_normalise_any_script_one_space_between_words(text, expected):
    assert normalise(text) == expected


@given(any_text)
def test_normalise_normalised_text_stays(text):
    normal = normalise(text)
    assert normalise(normal) == normal


@given(any_text, st.sampled_from([" ", "\n\n", " \t", "... ", " - "]))
def test_normalise_case_space_and_punctuation_make_no_difference(text, space):
    words = normalise(text).split(" ")
    if any(is_word_letter(letter) for letter in "".join(words)):
        assert normalise(space.join(words)) == normalise(text)


@given(st.lists(any_text, max_size=6))
def test_find_words_many_texts_are_cut_as_a_character_at_a_time(texts):
    folded = [fold(text) for text in texts]
    assert cut(folded) == [words_one_by_one(text) for text in folded]


def test_find_words_every_letter_of_unicode():
    everything = [chr(code) for code in range(0x110000) if is_word_letter(chr(code))]
    found = cut([f"x{letter}x" for letter in everything])
    for letter, words in zip(everything, found, strict=True):
        alone = is_spaceless(letter) and not is_mark(letter)
        assert len(words) == (3 if alone else 2 if is_spaceless(letter) else 1), ascii(letter)


def test_find_words_lone_surrogates_and_the_last_code_point_part_words():
    assert cut(["a\ud800b\udfff", "\U0010ffffc"]) == [["a", "b"], ["c"]]
