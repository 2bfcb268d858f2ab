"""What speaks against a turn is what the filter dropped it for."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.curate.evidence import Comparison, evidence
from pipeline.curate.filters import FILTERS
from schemas.curation_spec import CurationSpec
from schemas.measures import Measures

JUDGED = {
    "words": 1000.0,
    "chars": 1000.0,
    "tokens": 1000.0,
    "letters": 100.0,
    "profane_words": 9.0,
}
"""Enough of everything that every filter has an opinion."""

SETTINGS = {
    "length": {"min_tokens": 5, "max_tokens": 50, "min_chars": 7, "max_chars": 70},
    "language": {"allowed": ["en", "de"]},
    "alphabet": {"scripts": ["latin", "greek"]},
    "decontaminate": {"max_share": 0.25},
}


def entry_of(name):
    spec = {"filter": name, **SETTINGS.get(name, {})}
    return CurationSpec.model_validate({"filters": [spec]}).filters[0]


def measures_of(scores):
    values = np.array([list(scores.values())], dtype=np.float32)
    bare = np.zeros((1, 0))
    return Measures(tuple(scores), values, bare.astype(np.uint32), bare.astype(np.int8))


VALUES = st.floats(0, 1, width=32) | st.sampled_from([0.0, 1.0, 2.0, 8.0, 60.0, 80.0, -9.0])


@pytest.mark.parametrize("name", FILTERS)
@given(st.data())
def test_a_turn_falls_where_something_speaks_against_it(name, data):
    entry = entry_of(name)
    columns = FILTERS[name].columns([entry]) or ("judge",)
    own = {c: data.draw(VALUES, label=c) for c in columns if c not in JUDGED or name == "length"}
    scores = {**{c: JUDGED[c] for c in columns if c in JUDGED}, **own}
    [fallen] = FILTERS[name].drops(measures_of(scores), entry).tolist()
    assert fallen == bool(evidence(entry, scores))


@pytest.mark.parametrize("name", FILTERS)
def test_nothing_speaks_against_a_turn_of_which_nothing_is_known(name):
    assert evidence(entry_of(name), {}) == []


def test_evidence_names_score_value_and_threshold():
    scores = {"words": 30.0, "top_2gram": 0.1, "top_3gram": 0.31, "duplicate_lines": 0.5}
    assert evidence(entry_of("repetition"), scores) == [
        Comparison("duplicate_lines", 0.5, ">", 0.3),
        Comparison("top_3gram", 0.31, ">", 0.18),
    ]


def test_evidence_adds_up_what_is_allowed_together():
    scores = {"language_en": 0.25, "language_de": 0.125, "language_fr": 0.625}
    assert evidence(entry_of("language"), scores) == [
        Comparison("allowed_languages", 0.375, "<", 0.5)
    ]
    letters = {"letters": 100.0, "letters_latin": 30.0, "letters_greek": 20.0}
    assert evidence(entry_of("alphabet"), letters) == [Comparison("allowed_letters", 0.5, "<", 0.9)]
