"""Who is kept of those that passed the filters: order, scope, evidence."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pipeline.curate.curate import curate
from pipeline.curate.shingles import shingles
from schemas.curation_spec import CurationSpec, DiversitySpec
from schemas.records import Verdict
from tests.unit.curate.waves import (
    SAID,
    Wave,
    by_hand,
    cosine,
    jaccard_of_sets,
    measured,
    scope,
    specs,
    waves,
)
from tests.unit.samples import compared, make_candidate

FANOUTS = st.integers(1, 4)


def judge(wave: Wave, fanout: int, spec: CurationSpec) -> list[Verdict]:
    return curate(
        wave.candidates,
        wave.measures,
        fanout=fanout,
        compared=compared(wave.candidates),
        spec=spec,
    )


def family(*vectors, texts=None, relevance=None) -> Wave:
    """One family below level 1, all texts different unless given."""
    texts = texts or [f"{chr(0x4E00 + 99 * i)}{i}" for i in range(len(vectors))]
    rows = [make_candidate((0, i), text, role="user") for i, text in enumerate(texts)]
    return measured(rows, np.array(vectors), relevance or [0.0] * len(rows))


@settings(max_examples=300, deadline=None)
@given(waves(), FANOUTS, specs())
def test_selection_is_the_one_made_by_hand(wave, fanout, spec):
    assert judge(wave, fanout, spec) == by_hand(wave, fanout, spec)


@settings(deadline=None)
@given(waves(), FANOUTS, specs())
def test_keepers_are_kept_and_in_scope_and_similarities_are_what_they_say(wave, fanout, spec):
    verdicts = judge(wave, fanout, spec)
    row_of = {candidate.node_id: row for row, candidate in enumerate(wave.candidates)}
    measure = {
        "duplicate": lambda a, b: 1.0,
        "near_duplicate": lambda a, b: jaccard_of_sets(wave, a, b),
        "similar": lambda a, b: cosine(wave, a, b),
        "surplus": lambda a, b: cosine(wave, a, b),
    }
    for row, verdict in enumerate(verdicts):
        assert (verdict.mmr_rank is not None) == (verdict.kept and spec.diversity is not None)
        assert (verdict.keeper_id is None) == (verdict.similarity is None)
        if verdict.keeper_id is not None:
            keeper = row_of[verdict.keeper_id]
            found = measure[verdict.drop_reason](row, keeper)
            assert verdicts[keeper].kept and scope(wave, row) == scope(wave, keeper)
            assert verdict.similarity == np.float32(found)


@settings(deadline=None)
@given(waves(), FANOUTS, specs())
def test_no_family_exceeds_the_fanout_and_no_place_is_wasted(wave, fanout, spec):
    verdicts = judge(wave, fanout, spec)
    kept, surplus = Counter(), Counter()
    for candidate, verdict in zip(wave.candidates, verdicts, strict=True):
        kept[candidate.parent_id] += verdict.kept
        surplus[candidate.parent_id] += verdict.drop_reason == "surplus"
    assert all(count <= fanout for count in kept.values())
    assert all(kept[parent] == fanout for parent, count in surplus.items() if count)


@settings(deadline=None)
@given(waves(), FANOUTS, specs())
def test_curating_the_kept_again_changes_nothing(wave, fanout, spec):
    verdicts = judge(wave, fanout, spec)
    kept = [row for row, verdict in enumerate(verdicts) if verdict.kept]
    assert judge(wave.take(kept), fanout, spec) == [verdicts[row] for row in kept]


@settings(deadline=None)
@given(waves(), FANOUTS, specs(), st.randoms(use_true_random=False))
def test_names_decide_nothing(wave, fanout, spec, random):
    """Ids and parents' ids are labels: only the order of rows counts."""
    labels = [f"{number:032x}" for number in random.sample(range(1000), 100)]
    names: dict[str | None, str] = {}
    for candidate in wave.candidates:
        for name in (candidate.node_id, candidate.parent_id):
            names.setdefault(name, labels[len(names)])
    renamed = [
        replace(c, node_id=names[c.node_id], parent_id=names[c.parent_id]) for c in wave.candidates
    ]
    expected = [
        replace(verdict, keeper_id=verdict.keeper_id and names[verdict.keeper_id])
        for verdict in judge(wave, fanout, spec)
    ]
    assert judge(Wave(renamed, wave.measures), fanout, spec) == expected


@settings(deadline=None)
@given(waves(), FANOUTS, specs())
def test_families_below_the_openings_do_not_see_each_other(wave, fanout, spec):
    verdicts = judge(wave, fanout, spec)
    if wave.candidates and wave.candidates[0].level > 1:
        for parent in {candidate.parent_id for candidate in wave.candidates}:
            own = [r for r, c in enumerate(wave.candidates) if c.parent_id == parent]
            assert judge(wave.take(own), fanout, spec) == [verdicts[row] for row in own]


@settings(deadline=None)
@given(waves(st.sampled_from(SAID)))
def test_near_duplicates_at_one_are_those_with_the_same_shingles(wave):
    spec = CurationSpec(filters=(), near_threshold=1.0, diversity=None)
    seen = {}
    for row, verdict in enumerate(judge(wave, 99, spec)):
        candidate = wave.candidates[row]
        if candidate.failure is None:
            own = shingles(candidate.text, candidate.role).tobytes()
            assert verdict.keeper_id == seen.get((scope(wave, row), own))
            seen.setdefault((scope(wave, row), own), candidate.node_id)


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 1000), st.sampled_from([0.0, 0.5, 0.7, 1.0]), st.integers(1, 40))
def test_ranks_of_large_families_are_those_made_by_hand(seed, weight, fanout):
    random = np.random.default_rng(seed)
    wave = family(*random.integers(-127, 128, (40, 16)), relevance=random.normal(size=40).tolist())
    spec = CurationSpec(filters=(), diversity=DiversitySpec(weight=weight, max_cosine=0.4))
    assert judge(wave, fanout, spec) == by_hand(wave, fanout, spec)


def reasons(verdicts):
    return [verdict.drop_reason for verdict in verdicts]


@pytest.mark.parametrize(
    ("weight", "order"), [(1.0, [1, 0, None, None]), (0.0, [0, None, None, 1])]
)
def test_weight_goes_from_relevance_to_novelty(weight, order):
    wave = family([9, 1], [9, 0], [8, 0], [0, 9], relevance=[0.8, 0.9, 0.1, 0.0])
    spec = CurationSpec(filters=(), diversity=DiversitySpec(weight=weight))
    verdicts = judge(wave, 2, spec)
    assert [verdict.mmr_rank for verdict in verdicts] == order


def test_without_diversity_the_first_are_kept_in_row_order():
    wave = family([1, 0], [0, 1], [1, 1], relevance=[0.0, 0.5, 1.0])
    verdicts = judge(wave, 2, CurationSpec(filters=(), diversity=None))
    assert reasons(verdicts) == [None, None, "surplus"]
    assert [verdict.mmr_rank for verdict in verdicts] == [None, None, None]


def test_surplus_names_the_kept_sibling_it_is_closest_to():
    wave = family([1, 0], [0, 1], [9, 8], [8, 9])
    verdicts = judge(wave, 2, CurationSpec(filters=(), diversity=None))
    assert [v.keeper_id for v in verdicts[2:]] == [c.node_id for c in wave.candidates[:2]]
    assert verdicts[2].similarity == pytest.approx(9 / 145**0.5)


def test_a_cosine_that_is_too_large_leaves_places_empty():
    wave = family([1, 0], [9, 1], [0, 1])
    spec = CurationSpec(filters=(), diversity=DiversitySpec(max_cosine=0.9))
    assert reasons(judge(wave, 3, spec)) == [None, "similar", None]


def test_what_fills_no_fanout_keeps_fewer():
    wave = family([1, 0], [1, 0], texts=["same", "same "])
    assert reasons(judge(wave, 5, CurationSpec(filters=()))) == [None, "duplicate"]


def test_near_duplicates_are_dropped_with_their_jaccard():
    wave = family([1], [1], [1], texts=[SAID[0], SAID[2], SAID[4]])
    spec = CurationSpec(filters=(), near_threshold=0.7, diversity=None)
    verdicts = judge(wave, 3, spec)
    assert reasons(verdicts) == [None, "near_duplicate", None]
    assert verdicts[1].similarity == np.float32(jaccard_of_sets(wave, 0, 1))
    exact = CurationSpec(filters=(), duplicates="exact", diversity=None)
    assert reasons(judge(wave, 3, exact)) == [None, None, None]


def named(*names, **spec):
    """What becomes of topics that a cohort's trees name, in order."""
    rows = [make_candidate((i,), name, role="assistant") for i, name in enumerate(names)]
    wave = measured(rows, np.zeros((len(rows), 0)), [0.0] * len(rows))
    return reasons(judge(wave, 99, CurationSpec(filters=(), diversity=None, **spec)))


def test_topics_that_differ_in_case_and_outer_punctuation_are_near_duplicates():
    again = ["biology.", "**Biology**", "- BIOLOGY", " Biology:"]
    others = ["The field of biology", "Marine biology", "Zoology", "Art", "Arts"]
    expected = ["near_duplicate"] * len(again) + [None] * len(others)
    for threshold in (0.8, 1.0):
        found = named("Biology", *again, *others, near_threshold=threshold)
        assert found == [None, *expected]
    exact = named("Biology", "biology.", " Biology\n", duplicates="exact")
    assert exact == [None, None, "duplicate"]


def test_topics_of_nearly_the_same_letters_are_told_apart_by_a_higher_threshold():
    assert named("Organic chemistry", "Inorganic chemistry") == [None, "near_duplicate"]
    apart = named("Organic chemistry", "Inorganic chemistry", near_threshold=1.0)
    assert apart == [None, None]


def test_kept_openings_drop_their_repeats_in_later_trees_and_the_place_goes_on():
    said = [["a b c", "d e f"], ["d e f", "x y z"]]
    rows = [
        make_candidate((child,), text, tree_id=tree, node_id=f"{tree}{child}", parent_id=f"r{tree}")
        for tree, texts in enumerate(said)
        for child, text in enumerate(texts)
    ]
    wave = measured(rows, np.zeros((4, 0)), [0.0] * 4)
    spec = CurationSpec(filters=(), diversity=None)
    assert reasons(judge(wave, 1, spec)) == [None, "surplus", None, "surplus"]
    verdicts = judge(wave, 2, spec)
    assert reasons(verdicts) == [None, None, "duplicate", None]
    assert verdicts[2].keeper_id == "01"


@example("\x00" * 100_000)
@example("\N{HONEYBEE}" * 25_000)
@example("many words " * 9_000)
@settings(deadline=None, max_examples=50)
@given(st.text())
def test_any_text_repeats_itself_and_can_be_judged(text):
    wave = family([1], [1], [1], texts=[text, f" {text}\n", f"{text} Something else entirely."])
    verdicts = judge(wave, 3, CurationSpec(filters=()))
    assert reasons(verdicts)[:2] == [None, "duplicate"]
