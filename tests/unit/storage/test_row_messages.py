import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.storage.row_columns import Unfit
from pipeline.storage.row_messages import read_messages
from schemas.records import Message

TEXTS = st.text(min_size=1, max_size=10).filter(str.strip)
SHAREGPT = {"system": "system", "user": "human", "assistant": "gpt"}


@st.composite
def conversations(draw):
    """Messages in the order that a chat has them, with a user's at least."""
    turns = draw(st.lists(TEXTS, min_size=1, max_size=7))
    messages = [Message(("user", "assistant")[n % 2], text) for n, text in enumerate(turns)]
    return ([Message("system", draw(TEXTS))] if draw(st.booleans()) else []) + messages


def written(messages, form):
    if form == "openai":
        return [{"role": role, "content": text, "name": None} for role, text in messages]
    return [{"from": SHAREGPT[role], "value": text} for role, text in messages]


@given(conversations(), st.sampled_from(["openai", "sharegpt"]))
def test_read_messages_cuts_after_the_last_user_and_gives_the_answer(messages, form):
    given_ = read_messages(written(messages, form))
    answered = messages[-1].role == "assistant"
    assert list(given_.frame) == (messages[:-1] if answered else messages)
    assert given_.answer == (messages[-1].text if answered else None)


@given(conversations(), st.data())
def test_read_messages_refuses_roles_out_of_order(messages, data):
    index = data.draw(st.integers(0, len(messages)))
    before = messages[index - 1].role if index else None
    roles = {"user", "assistant", "system"} - ({"system"} if index == 0 else set())
    fits = {None: {"user"}, "system": {"user"}, "user": {"assistant"}, "assistant": {"user"}}
    intruder = data.draw(st.sampled_from(sorted(roles - fits[before])))
    broken = [*messages[:index], Message(intruder, "x"), *messages[index:]]
    with pytest.raises(Unfit, match=f"message {index + 1}: roles out of order, found {intruder}"):
        read_messages(written(broken, "openai"))


USER, ANSWER = {"role": "user", "content": "Why?"}, {"role": "assistant", "content": "So."}


def test_read_messages_leaves_out_what_is_empty_and_means_nothing():
    given_ = read_messages([{"from": "system", "value": " "}, USER, {**ANSWER, "content": ""}])
    assert given_ == ((Message("user", "Why?"),), None)


@pytest.mark.parametrize(
    ("found", "said"),
    [
        ("Why?", "found str, expected a list of messages"),
        ({"role": "user"}, "found dict, expected a list of messages"),
        ([], "no message of a user"),
        ([{"role": "system", "content": "Be brief."}], "no message of a user"),
        (["Why?"], "message 1: found str, expected role and content"),
        ([USER, ANSWER, {"content": "x"}], "message 3: found the role None, expected one of"),
        ([{"role": "tool", "content": "x"}], "message 1: found the role 'tool', expected one of"),
        ([{"role": ["user"], "content": "x"}], r"message 1: found the role \['user'\]"),
        ([{"role": "user", "content": 3}], "message 1: its content is int, expected a text"),
        ([{"role": "user"}], "message 1: its content is null, expected a text"),
        ([{"role": "user", "content": "\n"}], "message 1 is empty"),
        ([USER, {**ANSWER, "content": ""}, USER], "message 2 is empty"),
        ([ANSWER, USER], "message 1: roles out of order, found assistant, expected user"),
    ],
)
def test_read_messages_says_what_is_wrong_and_where(found, said):
    with pytest.raises(Unfit, match=said):
        read_messages(found)
