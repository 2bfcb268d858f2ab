"""Languages of texts, as the card and the report tell them."""

import pytest

from pipeline.curate.languages import UNSURE, Languages, languages_of

ENGLISH = "The river runs through the old town and under the bridge of stone."
GERMAN = "Der Fluss fliesst durch die alte Stadt und unter der steinernen Bruecke hindurch."


def test_languages_are_shares_of_texts_that_are_long_enough():
    found = languages_of([GERMAN] + [ENGLISH] * 3 + ["123", "ok"])
    assert (found.texts, found.too_short) == (4, 2)
    assert list(found.shares.items()) == [("en", 0.75), ("de", 0.25)]
    assert found.named == found.shares


def test_languages_of_nothing_to_tell_are_none():
    found = languages_of(["12"])
    assert (found.texts, found.too_short, found.shares, found.named) == (0, 1, {}, {})


def test_named_languages_leave_out_what_is_unsure_or_rare():
    found = Languages(100, 0, {"en": 0.6, UNSURE: 0.2, "de": 0.17, "la": 0.03})
    assert found.named == {"en": pytest.approx(0.75), "de": pytest.approx(0.2125)}
    assert Languages(1, 0, {UNSURE: 1.0}).named == {}
