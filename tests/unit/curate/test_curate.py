"""Verdicts of whole waves: failures, filters in order, then the selection."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.curate.curate import curate, fall_to_filters
from schemas.curation_spec import CurationSpec
from schemas.measures import Measures, no_measures
from tests.unit.curate.waves import by_hand, specs, waves
from tests.unit.samples import compared, make_candidate

NAN = float("nan")


def judge(rows, fanout=99, texts=None, scores=None, **spec):
    """Reasons, with scores by name."""
    scores = scores or {}
    columns = np.array(list(scores.values()), dtype=np.float32).reshape(len(scores), len(rows))
    bare = no_measures(len(rows))
    measures = Measures(tuple(scores), columns.T, bare.signatures, bare.vectors)
    asked = CurationSpec.model_validate(spec)
    verdicts = curate(
        rows, measures, fanout=fanout, compared=compared(rows), spec=asked, texts=texts
    )
    return [verdict.drop_reason for verdict in verdicts]


def family(*texts, role="user", **changes):
    return [make_candidate((0, i), text, role=role, **changes) for i, text in enumerate(texts)]


@settings(deadline=None)
@given(waves(), st.integers(1, 4), specs())
def test_filters_come_first_and_the_selection_sees_only_what_passed(wave, fanout, spec):
    """A wave with what a filter drops taken out is judged as if it had never been there."""
    filters = ({"filter": "length", "min_chars": 3, "roles": ["user"]},)
    spec = CurationSpec.model_validate(spec.model_dump() | {"filters": filters})
    sizes = [len(c.text) if c.failure is None else NAN for c in wave.candidates]
    measures = wave.measures.with_score("chars", np.array(sizes, dtype=np.float32))
    verdicts = curate(
        wave.candidates, measures, fanout=fanout, compared=compared(wave.candidates), spec=spec
    )
    too_short = [
        c.failure is None and c.role == "user" and len(c.text) < 3 for c in wave.candidates
    ]
    assert [verdict.drop_reason == "length" for verdict in verdicts] == too_short
    left = [row for row, short in enumerate(too_short) if not short]
    assert [verdicts[row] for row in left] == by_hand(wave.take(left), fanout, spec)


@settings(deadline=None)
@given(waves(), st.integers(1, 4), specs())
def test_failures_are_told_apart_and_are_nobodys_keeper(wave, fanout, spec):
    verdicts = curate(
        wave.candidates,
        wave.measures,
        fanout=fanout,
        compared=compared(wave.candidates),
        spec=spec,
    )
    for candidate, verdict in zip(wave.candidates, verdicts, strict=True):
        failed = (verdict.drop_reason or "").startswith("failed:")
        assert failed == (candidate.failure is not None)
        assert not failed or verdict.keeper_id is None


@given(specs())
def test_empty_wave_has_no_verdicts(spec):
    assert curate([], no_measures(0), fanout=3, compared="cohort", spec=spec) == []
    assert fall_to_filters([], no_measures(0), CurationSpec().filters) == []


def test_wave_of_failures_keeps_nothing():
    rows = family("", "", failure="engine")
    assert judge(rows) == ["failed:engine", "failed:engine"]


def test_the_first_filter_of_the_list_that_hits_names_the_reason():
    rows, scores = family("a", "b"), {"empty": [0, 1], "truncated": [1, 1], "chars": [1, 1]}
    assert judge(rows, scores=scores, filters=["empty", "truncated"]) == ["truncated", "empty"]
    assert judge(rows, scores=scores, filters=["truncated", "empty"]) == ["truncated"] * 2
    assert judge(rows, scores=scores, filters=[]) == [None, None]


@pytest.mark.parametrize(("role", "reason"), [("user", None), ("assistant", "length")])
def test_a_filter_looks_at_its_roles_only(role, reason):
    filters = [{"filter": "length", "max_chars": 2, "roles": ["assistant"]}]
    rows = family("abc", role=role)
    assert judge(rows, scores={"chars": [3], "tokens": [3]}, filters=filters) == [reason]


def test_a_filter_may_stand_twice_with_other_thresholds():
    filters = [
        {"filter": "length", "max_chars": 2, "roles": ["assistant"]},
        {"filter": "length", "min_chars": 5, "roles": ["user"]},
    ]
    scores = {"chars": [3, 6], "tokens": [3, 6]}
    assert judge(family("abc", "abcdef"), scores=scores, filters=filters) == ["length", None]
    rows = family("abc", "abcdef", role="assistant")
    assert judge(rows, scores=scores, filters=filters) == ["length", "length"]


def test_what_a_filter_drops_takes_no_place_and_is_nobodys_keeper():
    rows = family("same", "same", " same", "other", "more")
    scores = {"truncated": [1, 0, 0, 0, 0]}
    found = judge(rows, fanout=2, scores=scores, filters=["truncated"], diversity=None)
    assert found == ["truncated", None, "duplicate", None, "surplus"]


def test_texts_are_what_was_measured_where_that_is_not_all():
    rows = family("<think>one</think>Yes.", "<think>two</think>Yes.", role="assistant")
    assert judge(rows, filters=[]) == [None, None]
    assert judge(rows, filters=[], texts=["Yes.", "Yes."]) == [None, "duplicate"]


def test_duplicates_may_be_kept():
    rows = family("same", "same")
    assert judge(rows, filters=[], duplicates="keep") == [None, None]


def test_what_falls_to_filters_is_what_curate_drops_for_them():
    rows = [*family("a", "b"), make_candidate((0, 2), "", role="user", failure="poison")]
    measures = no_measures(3).with_score("truncated", np.array([0, 1, NAN], dtype=np.float32))
    filters = CurationSpec.model_validate({"filters": ["truncated"]}).filters
    assert fall_to_filters(rows, measures, filters) == [None, "truncated", "failed:poison"]
