"""Siblings as answers to one prompt."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from pipeline.tree.preferences import Scores, preferences
from schemas.records import Node, Verdict
from tests.unit.samples import make_candidate

REASONS = (None, None, "surplus", "judge", "duplicate", "truncated", "failed:engine", "similar")
TEXTS = ("", " ", "One.", "Two.", "Three.", "Four.", "Five.", "Six.")


def row(path, text="Why?", reason=None, **changes):
    role = "system" if not path else "user" if len(path) % 2 else "assistant"
    verdict = Verdict(reason)
    parent_id = f"node-{path[:-1]}" if path else None
    return Node(make_candidate(path, text, role=role, parent_id=parent_id, **changes), verdict)


@st.composite
def trees(draw):
    """A tree of questions and answers, some of them dropped, some rows missing, with scores."""
    rows, scores = [row(())], {}
    for question in range(draw(st.integers(1, 3))):
        rows.append(row((question,), reason=draw(st.sampled_from((None, None, None, "surplus")))))
        for answer in range(draw(st.integers(0, 5))):
            text, reason = draw(st.sampled_from(TEXTS)), draw(st.sampled_from(REASONS))
            rows.append(row((question, answer), text, reason))
            if draw(st.booleans()):
                scores[rows[-1].candidate.node_id] = draw(st.sampled_from((1.0, 2.0, 3.0)))
    missing = draw(st.sets(st.integers(0, len(rows) - 1), max_size=2))
    return [r for i, r in enumerate(rows) if i not in missing], scores


def plain(found):
    """A preference as values."""
    return [
        (
            [node.node_id for node in preference.path],
            [(a.candidate.node_id, a.drop_reason, a.kept, a.score) for a in preference.answers],
            preference.chosen and preference.chosen.candidate.node_id,
            preference.rejected and preference.rejected.candidate.node_id,
            preference.margin,
            preference.by,
        )
        for preference in found
    ]


@given(trees(), st.randoms())
def test_preferences_do_not_depend_on_the_order_of_rows(tree, random):
    rows, scores = tree
    shuffled = random.sample(rows, len(rows))
    found = list(preferences(rows, [], Scores("judge", scores)))
    assert plain(preferences(shuffled, [], Scores("judge", scores))) == plain(found)


@given(trees(), st.booleans())
def test_answers_are_sound_rows_below_kept_ones_each_text_once(tree, only_kept):
    rows, scores = tree
    by_id = {r.candidate.node_id: r for r in rows}
    found = list(preferences(rows, [], Scores("judge", scores), only_kept=only_kept))
    for preference in found:
        assert [node.level for node in preference.path] == list(range(len(preference.path)))
        assert all(by_id[node.node_id].verdict.kept for node in preference.path)
        answers = preference.answers
        assert len(answers) > 1
        assert max(Counter(answer.candidate.text for answer in answers).values()) == 1
        for answer in answers:
            assert answer.candidate.parent_id == preference.path[-1].node_id
            assert answer.candidate.text.strip() and answer.candidate.role == "assistant"
            assert answer.drop_reason in ((None,) if only_kept else (None, "judge", "surplus"))
            assert answer.kept == by_id[answer.candidate.node_id].verdict.kept
    asked = {preference.path[-1].node_id: preference for preference in found}
    for parent in by_id.values():
        sound = {
            r.candidate.text
            for r in rows
            if r.candidate.parent_id == parent.candidate.node_id
            and r.candidate.role == "assistant"
            and r.candidate.text.strip()
            and (r.verdict.kept or (not only_kept and r.verdict.drop_reason in SOUND))
        }
        whole = parent.verdict.kept and "node-()" in by_id
        there = asked.get(parent.candidate.node_id)
        if whole and len(sound) > 1:
            assert {answer.candidate.text for answer in there.answers} == sound
        else:
            assert there is None


SOUND = ("judge", "surplus")


@given(trees())
def test_the_best_and_the_worst_are_chosen_only_where_scores_differ(tree):
    rows, scores = tree
    for preference in preferences(rows, [], Scores("judge", scores)):
        known = [a.score for a in preference.answers if a.score is not None]
        if len(set(known)) < 2:
            assert (preference.chosen, preference.rejected, preference.margin) == (None,) * 3
            assert preference.by is None
        else:
            assert preference.chosen.score == max(known)
            assert preference.rejected.score == min(known)
            assert preference.margin == max(known) - min(known) > 0
            assert preference.by == "judge"


def test_the_kept_one_stands_for_what_says_the_same_and_wins_among_equals():
    rows = [
        row(()),
        row((0,)),
        row((0, 0), "One.", "judge"),
        row((0, 1), "Two.", "surplus"),
        row((0, 2), "One."),
        row((0, 3), "Three.", "judge"),
    ]
    ids = [r.candidate.node_id for r in rows]
    scores = Scores("judge", dict(zip(ids[2:], (1.0, 5.0, 5.0, 1.0), strict=True)))
    (found,) = preferences(rows, [], scores)
    assert [answer.candidate.node_id for answer in found.answers] == ids[3:]
    assert (found.chosen.candidate.node_id, found.rejected.candidate.node_id) == (ids[4], ids[5])


def test_a_score_that_is_no_number_is_none():
    rows = [row(()), row((0,)), row((0, 0), "One."), row((0, 1), "Two.")]
    scores = Scores("judge", {rows[2].candidate.node_id: float("nan")})
    (found,) = preferences(rows, [], scores)
    assert [answer.score for answer in found.answers] == [None, None]


def draft_of(turn, text):
    node = turn.candidate
    return make_candidate(
        (*node.path, 0),
        text,
        kind="draft",
        role=node.role,
        parent_id=node.node_id,
        node_id=f"draft-{node.path}",
    )


def test_a_turn_written_again_is_better_than_its_draft():
    rows = [
        row(()),
        row((0,)),
        row((0, 0), "One, rather.", origin="rewritten"),
        row((0, 1), "Two.", origin="rewritten"),
        row((0, 2), "Three.", "truncated", origin="rewritten"),
        row((0, 3), "Four, better.", "surplus", origin="rewritten"),
    ]
    texts = ("One", "Two.", "Three", "Four")
    drafts = [draft_of(turn, text) for turn, text in zip(rows[2:], texts, strict=True)]
    siblings, *pairs = preferences(rows, drafts, Scores("", {}))
    assert (len(siblings.answers), siblings.chosen) == (3, None)
    assert [(p.chosen.candidate.text, p.rejected.candidate.text, p.margin) for p in pairs] == [
        ("One, rather.", "One", 0.0),
        ("Four, better.", "Four", 0.0),
    ]
    assert {pair.by for pair in pairs} == {"rewrite"}
    only = list(preferences(rows, drafts, Scores("", {}), only_kept=True))
    assert [p.chosen.candidate.text for p in only if p.chosen] == ["One, rather."]
    rewritten_alone = list(preferences(rows[:3], drafts[:1], Scores("", {})))
    assert [p.by for p in rewritten_alone] == ["rewrite"]


def test_continuations_of_a_text_are_answers_too():
    rows = [
        Node(make_candidate((), "Once", role="text", parent_id=None), Verdict()),
        Node(make_candidate((0,), " upon", role="text"), Verdict()),
        Node(make_candidate((1,), " more", role="text"), Verdict("surplus")),
    ]
    (found,) = preferences(rows, [], Scores("", {}))
    assert [answer.candidate.text for answer in found.answers] == [" upon", " more"]


def test_a_turn_written_again_that_the_judge_dropped_is_not_better_than_its_draft():
    rows = [row(()), row((0,)), row((0, 0), "Worse.", "judge", origin="rewritten")]
    assert not list(preferences(rows, [draft_of(rows[2], "One.")], Scores("", {})))
