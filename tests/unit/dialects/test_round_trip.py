"""Opening, texts and markers put together are what the template makes of the conversation."""

import re

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.dialects.frames import Turn
from pipeline.dialects.opening import matches_template, opening_ids
from pipeline.tree.prompt import ask, count_reasoning, remember
from schemas.records import Candidate, to_ids
from tests.unit.dialects.chat_shapes import SHAPES

letters = st.text("abcdefghijklmnopqrstuvwxyzABCDEF", min_size=1, max_size=6)
words = st.one_of(
    letters, st.integers(0, 10**6).map(str), st.sampled_from(["éa", "日本", "Жук", "😀x"])
)
plain_texts = st.lists(words, min_size=1, max_size=4).map(" ".join)
any_texts = st.text("ab Z7.,!?:#<>[]|-\n\té日😀", min_size=1).map(str.strip).filter(bool)
relaxed = settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
ASKING = [name for name in SHAPES if name != "chatml_without_prompt"]
GLUELESS = [name for name in ASKING if not SHAPES[name].glue]


def conversations(texts):
    """A system text, maybe empty, and one to five turns."""
    systems = st.one_of(st.just(""), plain_texts)
    return st.tuples(systems, st.lists(texts, min_size=1, max_size=5))


@pytest.mark.parametrize("name", ASKING)
@relaxed
@given(conversation=conversations(plain_texts))
def test_prompt_by_extension_equals_the_templates_own_tokens(
    name, conversation, tokenizer_of, dialect_of
):
    tokenizer, dialect = tokenizer_of(name), dialect_of(name)
    system, texts = conversation
    asked = texts if len(texts) % 2 else [*texts, "What now?"]
    ids, edges = _template_tokens(tokenizer, dialect, system, asked)
    history, last, turns = opening_ids(tokenizer, dialect, system), "system", []
    for number, (text, end) in enumerate(zip(texts, edges, strict=False)):
        role = "user" if number % 2 == 0 else "assistant"
        before = remember(history, last, _turn(role, []), dialect)
        assert before.tolist() == ids[: len(before)]
        history = remember(history, last, _turn(role, ids[len(before) : end]), dialect)
        last = role
        turns.append(Turn(role, text))
    prompt = ask(history, last, dialect)
    assert prompt.tolist() == (ids if last == "user" else ids[: len(prompt)])
    assert matches_template(tokenizer, dialect, system, turns, prompt)


@pytest.mark.parametrize("name", GLUELESS)
@relaxed
@given(conversation=conversations(any_texts))
def test_prompt_by_extension_decodes_to_the_rendered_text(
    name, conversation, tokenizer_of, dialect_of
):
    tokenizer, dialect = tokenizer_of(name), dialect_of(name)
    system, texts = conversation
    texts = texts if len(texts) % 2 else texts[1:] or texts
    history, last = opening_ids(tokenizer, dialect, system), "system"
    for number, text in enumerate(texts):
        role = "user" if number % 2 == 0 else "assistant"
        ids = tokenizer(text, add_special_tokens=False)["input_ids"]
        history, last = remember(history, last, _turn(role, ids), dialect), role
    rendered = _render(tokenizer, dialect, system, texts)
    assert tokenizer.decode(ask(history, last, dialect).tolist()) == rendered


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("qwen3", "<think>\nLet me see.\n</think>\n\nThe answer."),
        ("r1", "Let me see.\n</think>\n\nThe answer."),
        ("glm", "\n<think>Let me see.</think>\nThe answer."),
        ("gemma_channels", "<|channel>thought\nLet me see.\n<channel|>\nThe answer."),
        (
            "harmony",
            "<|channel|>analysis<|message|>Let me see.<|end|><|start|>assistant"
            "<|channel|>final<|message|>The answer.",
        ),
    ],
)
def test_reasoning_is_stripped_from_history_as_the_template_does(
    name, written, tokenizer_of, dialect_of
):
    tokenizer, dialect = tokenizer_of(name), dialect_of(name)
    question, answer, more = (
        to_ids(tokenizer(text, add_special_tokens=False)["input_ids"])
        for text in ("Why?", written, "And?")
    )
    history = remember(
        opening_ids(tokenizer, dialect, ""), "system", _turn("user", question), dialect
    )
    node = _turn("assistant", answer, reasoning=count_reasoning(answer, dialect))
    assert 0 < node.reasoning_tokens < len(answer)
    history = remember(history, "user", node, dialect)
    history = remember(history, "assistant", _turn("user", more), dialect)
    content = "The answer." if name == "harmony" else written
    rendered = _render(tokenizer, dialect, "", ["Why?", content, "And?"])
    assert tokenizer.decode(ask(history, "user", dialect).tolist()) == rendered


def test_matches_template_other_tokens_of_the_same_text_differ(tokenizer_of, dialect_of):
    tokenizer, dialect = tokenizer_of("chatml"), dialect_of("chatml")
    opening = opening_ids(tokenizer, dialect, "")
    letters = [i for c in "user" for i in tokenizer(c, add_special_tokens=False)["input_ids"]]
    prompt = ask(np.concatenate([opening, to_ids(letters)]), "user", dialect)
    assert tokenizer.decode(prompt.tolist()) == _render(tokenizer, dialect, "", ["user"])
    assert not matches_template(tokenizer, dialect, "", [Turn("user", "user")], prompt)


def _turn(role, ids, reasoning=0):
    return Candidate(0, "n", None, (0,), role, to_ids(ids), "", reasoning_tokens=reasoning)


def _render(tokenizer, dialect, system, texts):
    """As transformers does it; the day alone is fixed, as it is for dialects."""
    if system and dialect.system == "user":
        texts, system = [f"{system}\n\n{texts[0]}", *texts[1:]], ""
    turns = [
        {"role": "user" if i % 2 == 0 else "assistant", "content": text}
        for i, text in enumerate(texts)
    ]
    return tokenizer.apply_chat_template(
        [{"role": "system", "content": system}] * bool(system) + turns,
        tokenize=False,
        add_generation_prompt=len(texts) % 2 == 1,
        strftime_now=lambda form: {"%d %b %Y": "26 Jul 2024", "%Y-%m-%d": "2024-07-26"}[form],
    )


def _template_tokens(tokenizer, dialect, system, texts):
    """The tokens of the whole rendering, and after how many of them each text ends."""
    rendered = _render(tokenizer, dialect, system, texts)
    names = [f"@{i}@" for i in range(len(texts))]
    between = re.split("@.@", _render(tokenizer, dialect, system, names))
    whole = tokenizer(rendered, add_special_tokens=False, return_offsets_mapping=True)
    edges, cursor = [], 0
    for gap, text in zip(between, texts, strict=False):
        assert rendered.startswith(gap + text, cursor)
        cursor += len(gap) + len(text)
        edges.append(sum(start < cursor for start, _ in whole["offset_mapping"]))
    return whole["input_ids"], edges
