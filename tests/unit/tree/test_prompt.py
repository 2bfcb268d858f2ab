"""Prompts grow by extension."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.tree.identity import prompt_hash
from pipeline.tree.prompt import ask, begin, count_reasoning, remember
from schemas.records import Opening, to_ids
from tests.unit.samples import DIALECT, grow, make_candidate, make_run, make_spec

THINK, CLOSE, BLANK = 60, (61, 62), 63
REASONING = DIALECT.model_copy(
    update={"reasoning_close": CLOSE, "blank_ids": (BLANK,), "ask_assistant": (258, 257, THINK)}
)
IDS = st.lists(st.integers(0, 255), max_size=20)


@given(IDS, IDS, IDS)
def test_prompt_of_a_child_extends_the_prompt_of_its_parent(opening, question, reply):
    user = make_candidate((0,), token_ids=to_ids(question))
    assistant = make_candidate((0, 0), token_ids=to_ids(reply))
    opened = to_ids(opening)
    asked = remember(opened, "system", user, DIALECT)
    answered = remember(asked, "user", assistant, DIALECT)
    first = ask(opened, "system", DIALECT).tolist()
    second = ask(asked, "user", DIALECT).tolist()
    third = ask(answered, "assistant", DIALECT).tolist()
    assert first == opening
    assert second == [*first, *question, *DIALECT.ask_assistant]
    assert third == [*second, *reply, *DIALECT.after_assistant]


def test_a_first_turn_without_a_word_still_answers_what_was_asked_before_it():
    opening = Opening(to_ids([1, 2]), "user")
    before = [1, 2, *DIALECT.after_user]
    assert begin(opening, to_ids([]), DIALECT).tolist() == before
    assert begin(opening, to_ids([7]), DIALECT).tolist() == [*before, 7]
    assert begin(opening, None, DIALECT).tolist() == [1, 2]


def test_remember_forgets_the_reasoning_and_what_opened_it():
    asked = to_ids([1, 2])
    thought = to_ids([THINK, 7, *CLOSE, BLANK, 8, 9])
    node = make_candidate((0, 0), token_ids=thought, reasoning_tokens=5)
    history = remember(asked, "user", node, REASONING).tolist()
    assert ask(asked, "user", REASONING).tolist() == [1, 2, 258, 257, THINK]
    assert history == [1, 2, 258, 257, 8, 9]


@pytest.mark.parametrize(
    ("ids", "expected"),
    [
        ([], 0),
        ([7, 8], 0),
        ([7, *CLOSE], 3),
        ([7, *CLOSE, 8], 3),
        ([7, *CLOSE, BLANK, BLANK, 8, BLANK], 5),
        ([*CLOSE, 7, *CLOSE, 8], 5),
        ([CLOSE[0], 7, CLOSE[1]], 0),
        ([BLANK, 7], 0),
    ],
)
def test_count_reasoning_ends_after_the_last_close_and_its_blanks(ids, expected):
    assert count_reasoning(to_ids(ids), REASONING) == expected


@given(IDS)
def test_count_reasoning_is_nothing_where_the_template_keeps_history(ids):
    assert count_reasoning(to_ids(ids), DIALECT) == 0


def test_prompt_hash_follows_from_the_ancestors_alone():
    run = make_run(make_spec((2, 2, 1, 1)))
    rows = [candidate for candidate, _ in grow(run)]
    by_id = {row.node_id: row for row in rows}
    marker = {1: (), 2: DIALECT.ask_assistant, 3: DIALECT.after_assistant}
    marker[4] = DIALECT.ask_assistant
    for row in rows[2:]:
        parts, above = [to_ids(marker[row.level])], by_id[row.parent_id]
        while above.level:
            parts += [above.token_ids, to_ids(marker[above.level])]
            above = by_id[above.parent_id]
        parts.append(above.token_ids)
        assert row.prompt_hash == prompt_hash(np.concatenate(parts[::-1]))
