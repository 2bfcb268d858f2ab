"""The second pass: what is asked about a draft, and what takes its place."""

from dataclasses import replace

import pytest

from pipeline.tree.aside import aside_rows
from pipeline.tree.critique import critique_requests, draft_row, rewrite_requests, rewritten
from pipeline.tree.expand import attach, expand
from pipeline.tree.frontier import frontier_of, grown
from pipeline.tree.identity import prompt_hash
from schemas.records import Completion, Failure, to_ids
from tests.unit.samples import DIALECT, answer, by_key, make_run, make_spec, plant_some
from tests.unit.tree.test_judge import conversation

CRITIQUE = {"critique": "What is wrong?", "rewrite": "Write it again.", "temperature": 0.5}
PLAIN = make_spec((2, 2)).model_dump(mode="json")
PLAIN["levels"][1]["critique"] = CRITIQUE
RUN = make_run(type(make_spec()).model_validate(PLAIN))
RULE = RUN.recipe.rule(RUN.spec, 2)


def drafts_of_a_wave():
    """The parents and drafts of a wave of answers."""
    roots = plant_some(RUN, range(1))
    rule = RUN.recipe.rule(RUN.spec, 1)
    asked = expand(RUN, "wave", roots, rule)
    parents = frontier_of(RUN, roots, attach(RUN, roots, asked, by_key(answer(asked)), rule))
    asked = expand(RUN, "wave", parents, RULE)
    return parents, attach(RUN, parents, asked, by_key(answer(asked)), RULE)


PARENTS, DRAFTS = drafts_of_a_wave()
BY_ID = {draft.node_id: draft for draft in DRAFTS}
ASKED = critique_requests(RUN, "wave", PARENTS, DRAFTS, RULE)
CRITIQUES = aside_rows(RUN, BY_ID, ASKED, by_key(answer(ASKED)))
AGAIN = rewrite_requests(RUN, "wave", BY_ID, ASKED, CRITIQUES, RULE)
THINKS = DIALECT.model_copy(
    update={
        "ask_assistant": (*DIALECT.ask_assistant, *b"<think>"),
        "reasoning_close": tuple(b"</think>"),
        "reasoning_end": "</think>",
    }
)
"""Its prompt for an answer opens a reasoning part, which history does not have."""


def test_critique_and_rewrite_go_on_in_the_drafts_own_conversation():
    draft, critique = DRAFTS[0], CRITIQUES[0]
    [parent] = [parent for parent in PARENTS if parent.node_id == draft.parent_id]
    question = parent.said[-1]
    first = conversation(ASKED[0].prompt)
    assert first == f"cats<U>{question}<E><A>{draft.text}<E><U>What is wrong?<E><A>"
    second = conversation(AGAIN[0].prompt)
    assert second == f"{first}{critique.text}<E><U>Write it again.<E><A>"
    assert {request.kind for request in AGAIN} == {"rewrite"}
    assert {request.sampling.temperature for request in (*ASKED, *AGAIN)} == {0.5}
    assert ASKED[0].sampling.max_tokens == 256 and AGAIN[0].sampling.max_tokens == 200
    assert len({request.seed for request in (*ASKED, *AGAIN)}) == 2 * len(DRAFTS)


def test_a_rewritten_turn_takes_the_drafts_place_and_the_draft_stands_below_it():
    turns = rewritten(RUN, BY_ID, AGAIN, by_key(answer(AGAIN)))
    assert turns.keys() == BY_ID.keys()
    for request, (name, turn) in zip(AGAIN, turns.items(), strict=True):
        draft = BY_ID[name]
        assert (turn.node_id, turn.path, turn.kind) == (draft.node_id, draft.path, "turn")
        assert turn.origin == "rewritten" and turn.text != draft.text
        assert turn.prompt_hash == prompt_hash(request.prompt)
        row = draft_row(RUN, draft)
        assert (row.kind, row.text, row.parent_id) == ("draft", draft.text, name)
        assert row.path == (*draft.path, 0) and row.node_id not in BY_ID


def test_children_of_a_rewritten_turn_see_it_and_not_the_draft():
    turn = rewritten(RUN, BY_ID, AGAIN, by_key(answer(AGAIN)))[DRAFTS[0].node_id]
    [parent] = [parent for parent in PARENTS if parent.node_id == turn.parent_id]
    child = grown(RUN, parent, turn)
    assert child.said[-1] == turn.text
    assert child.bodies[0].tolist()[-len(turn.token_ids) :] == turn.token_ids.tolist()


@pytest.mark.parametrize("says", ["", "  \n", None])
def test_the_draft_stays_where_nothing_better_came(says):
    outcomes = dict(by_key(answer(AGAIN)))
    key = AGAIN[0].keys[0]
    outcomes[key] = (
        Failure(key, "engine", "lost")
        if says is None
        else Completion(key, to_ids(list(says.encode())), says, "stop")
    )
    turns = rewritten(RUN, BY_ID, AGAIN, outcomes)
    assert AGAIN[0].parent_id not in turns and len(turns) == len(AGAIN) - 1


def test_no_rewrite_is_asked_where_the_critique_failed():
    lost = replace(CRITIQUES[0], failure="engine")
    again = rewrite_requests(RUN, "wave", BY_ID, ASKED, [lost, *CRITIQUES[1:]], RULE)
    assert [request.parent_id for request in again] == [r.parent_id for r in AGAIN[1:]]


def say(requests, text):
    """The same answer to all."""
    ids = to_ids(list(text.encode()))
    return {key: Completion(key, ids, text, "stop") for r in requests for key in r.keys}


def second_pass(run, critique):
    """The requests for critiques and for the drafts again, where all critiques are the same."""
    asked = critique_requests(run, "wave", PARENTS, DRAFTS, RULE)
    critiques = aside_rows(run, BY_ID, asked, say(asked, critique))
    return asked, rewrite_requests(run, "wave", BY_ID, asked, critiques, RULE)


def test_the_rewrite_sees_the_critique_as_history_has_it():
    run = replace(RUN, dialects=(THINKS,))
    asked, again = second_pass(run, "Hm.</think>Too short.")
    for critique, rewrite in zip(asked, again, strict=True):
        question = conversation(critique.prompt)
        assert question.endswith("<E><U>What is wrong?<E><A><think>")
        told = question.removesuffix("<think>")
        asks = "<E><U>Write it again.<E><A><think>"
        assert conversation(rewrite.prompt) == f"{told}Too short.{asks}"


@pytest.mark.parametrize("says", ["", " \n", "Hm.</think>", "Hm.</think> \n", "Hm, I would say"])
def test_no_rewrite_is_asked_where_nothing_of_the_critique_can_be_seen(says):
    assert not second_pass(replace(RUN, dialects=(THINKS,)), says)[1]


@pytest.mark.parametrize("says", ["Hm.</think> ", "Hm, I would say"])
def test_the_draft_stays_where_nothing_of_the_rewrite_can_be_seen(says):
    run = replace(RUN, dialects=(THINKS,))
    again = second_pass(run, "Hm.</think>Too short.")[1]
    assert not rewritten(run, BY_ID, again, say(again, says))
    assert len(rewritten(run, BY_ID, again, say(again, "Hm.</think>Better."))) == len(DRAFTS)
