"""How a prompt starts, and the template's own tokens for a whole prompt to compare with."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from pipeline.dialects.rendering import (
    Marker,
    Messages,
    gaps,
    made_up_texts,
    render,
    shared_gaps,
    writes_prompt,
)
from pipeline.dialects.tokenizer import Tokenizer, decode
from schemas.dialect import Dialect
from schemas.records import Ids, Role, to_ids


class Turn(NamedTuple):
    """One turn, with its text as its ids decode."""

    role: Role
    text: str


def opening_ids(tokenizer: Tokenizer, dialect: Dialect, system_text: str) -> Ids:
    """The ids up to where the first user's text starts.

    An empty system text means no system message, and so whatever the template then does.
    """
    return template_prompt(tokenizer, dialect, system_text, [])


def template_prompt(
    tokenizer: Tokenizer,
    dialect: Dialect,
    system_text: str,
    turns: Sequence[Turn],
) -> Ids:
    """The template's own tokens up to where the turn after these starts."""
    if not turns or turns[-1].role == "assistant":
        return _before_next(tokenizer, dialect, system_text, turns, "user")
    messages = _messages(dialect, system_text, turns)
    rendered = render(tokenizer, messages, ask=True)
    ids = to_ids(tokenizer(rendered, add_special_tokens=False)["input_ids"])
    if _ends_with(ids, dialect.ask_assistant) or writes_prompt(tokenizer, messages):
        return ids
    return _before_next(tokenizer, dialect, system_text, turns, "assistant")


def _before_next(
    tokenizer: Tokenizer, dialect: Dialect, system_text: str, turns: Sequence[Turn], role: Role
) -> Ids:
    """The ids before the text of a next turn, as far as they do not depend on that text."""
    found = []
    for (text,) in made_up_texts(1):
        messages = _messages(dialect, system_text, [*turns, Turn(role, text)])
        found.append(gaps(tokenizer, render(tokenizer, messages), [text])[:1])
    return to_ids(shared_gaps(tokenizer, found)[0])


def _ends_with(ids: Ids, marker: Marker) -> bool:
    return tuple(ids[-len(marker) :].tolist()) == marker


def matches_template(
    tokenizer: Tokenizer,
    dialect: Dialect,
    system_text: str,
    turns: Sequence[Turn],
    prompt: Ids,
) -> bool:
    """Whether a prompt made by extension is what the template makes of the same texts."""
    return np.array_equal(template_prompt(tokenizer, dialect, system_text, turns), prompt)


def _messages(dialect: Dialect, system_text: str, turns: Sequence[Turn]) -> Messages:
    """As messages; the first turn carries the system text where the template takes none."""
    messages = [{"role": turn.role, "content": turn.text} for turn in turns]
    if not system_text:
        return messages
    if dialect.system == "system":
        return [{"role": "system", "content": system_text}, *messages]
    first = {"role": "user", "content": f"{system_text}\n\n{turns[0].text}"}
    return [first, *messages[1:]]


class BosReport(NamedTuple):
    """Where the token that begins a text comes from. Prompts follow the template alone."""

    token: str | None
    template_writes_it: bool
    tokenizer_adds_it: bool
    """To plain text, which is not how prompts are made."""


def bos_report(tokenizer: Tokenizer, dialect: Dialect) -> BosReport:
    """Whether prompts start with the token that begins a text."""
    bos = tokenizer.bos_token_id
    if bos is None:
        return BosReport(None, False, False)
    opening = opening_ids(tokenizer, dialect, "")
    plain = tokenizer("x")["input_ids"]
    return BosReport(decode(tokenizer, [bos]), int(opening[0]) == bos, plain[0] == bos)
