"""A judge sees the turn's own conversation and a question, and gives one number."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.tree.aside import aside_rows
from pipeline.tree.expand import attach, expand
from pipeline.tree.frontier import frontier_of
from pipeline.tree.judge import judge_requests, read_score
from pipeline.tree.prompt import begin
from schemas.curation_spec import JudgeSpec
from tests.unit.samples import DIALECT, answer, by_key, make_run, make_spec, plant_some

JUDGE = {"filter": "judge", "question": "How good is it, 1 to 5?"}
JUDGE_SPEC = JudgeSpec.model_validate(JUDGE)
SPEC = make_spec((2, 2), curation={"filters": ["empty", JUDGE], "diversity": None})


def conversation(ids):
    """Bytes as text, markers as signs."""
    signs = {256: "<U>", 257: "<A>", 258: "<E>"}
    return "".join(signs.get(i) or chr(i) for i in ids.tolist())


def test_question_follows_the_turn_in_its_own_conversation():
    run = make_run(SPEC)
    parents = plant_some(run, range(1))
    for level, role in ((1, "user"), (2, "assistant")):
        rule = run.recipe.rule(run.spec, level)
        requests = expand(run, "wave", parents, rule)
        rows = attach(run, parents, requests, by_key(answer(requests)), rule)
        asked = judge_requests(run, "wave", parents, rows, JUDGE_SPEC)
        opening = parents[0].root.opening(0, 0)
        body = parents[0].bodies[0] if parents[0].path else None
        before = conversation(begin(opening, body, DIALECT))
        text = rows[0].text
        prompt = conversation(asked[0].prompt)
        if role == "user":
            assert prompt == f"{before}{text}\n\nHow good is it, 1 to 5?<E><A>"
        else:
            assert prompt == f"{before}<E><A>{text}<E><U>How good is it, 1 to 5?<E><A>"
        assert {request.kind for request in asked} == {"judge"}
        assert [request.parent_id for request in asked] == [row.node_id for row in rows]
        assert len({request.seed for request in asked}) == len(rows)
        parents = frontier_of(run, parents, rows[:1])


def test_judgements_are_rows_below_the_turns_and_never_share_an_id():
    run = make_run(SPEC)
    parents = plant_some(run, range(2))
    rule = run.recipe.rule(run.spec, 1)
    requests = expand(run, "wave", parents, rule)
    rows = attach(run, parents, requests, by_key(answer(requests)), rule)
    asked = judge_requests(run, "wave", parents, rows, JUDGE_SPEC)
    about = {row.node_id: row for row in rows}
    found = aside_rows(run, about, asked, by_key(answer(asked, fail_share=0.5)))
    assert [row.parent_id for row in found] == [row.node_id for row in rows]
    assert len({row.node_id for row in (*rows, *found)}) == 2 * len(rows)
    assert {row.kind for row in found} == {"judge"}
    assert {row.failure is None for row in found} == {True, False}


@pytest.mark.parametrize(
    ("text", "score"),
    [
        ("4", 4.0),
        ("I'd say 3.5/5.", 3.5),
        ("Rating: 5 (excellent)", 5.0),
        ("**2** out of 5", 2.0),
        ("3. It names 7 rivers.", 3.0),
    ],
)
def test_score_is_the_number_that_begins_or_the_only_one(text, score):
    assert read_score(text, JudgeSpec()) == score


@pytest.mark.parametrize(
    "text", ["", "good", "7", "-2", "0", "five", "On a scale of 1 to 5, it is a 4."]
)
def test_no_number_within_the_scale_is_no_score(text):
    assert np.isnan(read_score(text, JudgeSpec()))


@given(st.text())
def test_any_text_gives_a_score_within_the_scale_or_none(text):
    score = read_score(text, JudgeSpec())
    assert np.isnan(score) or 1 <= score <= 5
