"""Filters of how a turn is written: language, alphabet, symbols."""

import numpy as np
import pytest
from pydantic import ValidationError

from schemas.filter_spec import AlphabetSpec, LanguageSpec
from schemas.writing import LANGUAGES, is_script
from tests.unit.curate.prose import ANSWER, CODE, GERMAN, JAPANESE, LISTED, QUESTION, RUSSIAN
from tests.unit.curate.turns import fallen, falls, make_turns, measure


@pytest.mark.parametrize("text", [ANSWER, LISTED, CODE, QUESTION])
def test_language_keeps_the_languages_asked_for(text):
    assert not falls(text, "language")


@pytest.mark.parametrize("text", [GERMAN, RUSSIAN, JAPANESE])
def test_language_drops_others(text):
    assert falls(text, "language")


def test_language_adds_up_the_allowed_ones():
    assert not falls(GERMAN, "language", allowed=("en", "de"), min_probability=0.9)
    assert falls(RUSSIAN, "language", allowed=("en", "de"))


@pytest.mark.parametrize("text", ["Nein danke.", "42 + 42 = 84; 84 + 84 = 168", "👍" * 30, ""])
def test_language_says_nothing_of_short_turns_and_of_those_without_letters(text):
    assert not falls(text, "language")


def test_language_gives_a_score_for_each_code_of_all_entries():
    entries = [
        {"filter": "language", "allowed": ("en", "de"), "roles": ("assistant",)},
        {"filter": "language", "allowed": ("fr", "de")},
    ]
    found = measure(make_turns(GERMAN), *entries)
    assert found.names == ("chars", "language_de", "language_en", "language_fr")
    assert found.column("language_de")[0] > 0.9
    of_questions = measure(make_turns(GERMAN, role="user"), *entries)
    assert of_questions.names == ("chars", "language_de", "language_fr")


def test_language_knows_all_codes_that_a_spec_may_name():
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    assert set(LanguageIdentifier.from_model_file(MODEL_FILE).labels) == LANGUAGES
    with pytest.raises(ValidationError, match="english"):
        LanguageSpec(allowed=("english",))


WIDE = "".join(chr(ord(letter) + 0xFEE0) for letter in "Fullwidth")


@pytest.mark.parametrize("text", [ANSWER, LISTED, CODE, GERMAN, WIDE * 2, "😀 + 1 = 2"])
def test_alphabet_keeps_the_scripts_asked_for(text):
    assert not falls(text, "alphabet")


@pytest.mark.parametrize("text", [RUSSIAN, JAPANESE, "The word река means river, озеро a lake."])
def test_alphabet_drops_other_letters(text):
    assert falls(text, "alphabet")


def test_alphabet_takes_several_scripts_together():
    scripts = ("latin", "cyrillic")
    text = "The word река means river, озеро a lake."
    assert not falls(text, "alphabet", scripts=scripts, min_share=1.0)
    assert not falls(
        JAPANESE, "alphabet", scripts=("cjk", "hiragana", "katakana", "katakana-hiragana")
    )


def test_alphabet_does_not_judge_few_letters():
    assert not falls("Да, 42!", "alphabet")


def test_alphabet_refuses_names_that_no_letter_has():
    assert is_script("devanagari")
    for name in ("latn", "Latin", "", "emoji"):
        with pytest.raises(ValidationError, match="scripts"):
            AlphabetSpec(scripts=(name,))


@pytest.mark.parametrize(
    "text",
    [
        *(ANSWER, LISTED, QUESTION, GERMAN, JAPANESE),
        "# Rivers\n\n## How they rise\n\nMost of them rise in the mountains, as springs.",
        "Well, let me think about that for a moment...",
        "- a single dash begins this one line of text",
    ],
)
def test_symbols_keeps_words(text):
    assert not falls(text, "symbols")


@pytest.mark.parametrize(
    "text",
    [
        "#rivers #lakes #summer look at this #nofilter",
        "well ... I mean ... it is ... what it is ...",
        "12 34 56 78 90 11 river 12 13 14",
        "- one river\n- two rivers\n- three rivers\n* four rivers",
        "So it goes on…\nand on it goes…\nuntil the very end",
    ],
)
def test_symbols_drops_what_is_made_of_symbols(text):
    assert falls(text, "symbols")


def test_symbols_thresholds_decide():
    text = "- one river\n- two rivers\n- three rivers\n* four rivers"
    settings = {"max_bullet_lines": 1.0, "min_alphabetic_words": 0.5}
    assert not falls(text, "symbols", **settings)
    assert fallen(make_turns("# 1 2"), "symbols") == [False]


def test_shares_of_nothing_are_not_known():
    found = measure(make_turns(""), "symbols", "repetition", "profanity")
    shares = [name for name in found.names if name not in ("words", "profane_words")]
    assert all(np.isnan(found.column(name)[0]) for name in shares)
