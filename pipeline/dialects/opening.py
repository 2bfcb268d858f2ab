"""How a prompt starts, and the template's own tokens for a whole prompt to compare with."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from pipeline.dialects.frames import Turn
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
from schemas.records import Ids, to_ids

NEXT_TEXTS = tuple(text for (text,) in made_up_texts(1))
"""For a turn that is not there yet."""


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
    next_texts: Sequence[str] = NEXT_TEXTS,
) -> Ids:
    """The template's own tokens up to where the turn after these starts.

    Before a user's turn this is what stands before all of `next_texts` alike.
    """
    if not turns or turns[-1].role == "assistant":
        following = [[*turns, Turn("user", text)] for text in next_texts]
        return _before_last(tokenizer, dialect, system_text, following)
    messages = _messages(dialect, system_text, turns)
    rendered = render(tokenizer, messages, ask=True)
    ids = to_ids(tokenizer(rendered, add_special_tokens=False)["input_ids"])
    if _ends_with(ids, dialect.ask_assistant) or writes_prompt(tokenizer, messages):
        return ids
    following = [[*turns, Turn("assistant", text)] for text in NEXT_TEXTS]
    return _before_last(tokenizer, dialect, system_text, following)


def telling_text(tokenizer: Tokenizer, dialect: Dialect) -> str:
    """The one of `NEXT_TEXTS` that takes as much of the marker before it as any may take.

    What stands before it stands before all of them: rendering it alone is enough.
    """
    lengths = {
        text: len(template_prompt(tokenizer, dialect, "", [], [text])) for text in NEXT_TEXTS
    }
    return min(lengths, key=lengths.__getitem__)


def _before_last(
    tokenizer: Tokenizer, dialect: Dialect, system_text: str, following: Sequence[list[Turn]]
) -> Ids:
    """The ids before the last text of conversations that differ in it, as far as they agree."""
    found = []
    for turns in following:
        rendered = render(tokenizer, _messages(dialect, system_text, turns))
        found.append(gaps(tokenizer, rendered, [turns[-1].text])[:1])
    return to_ids(shared_gaps(tokenizer, found)[0])


def system_gaps(tokenizer: Tokenizer, dialect: Dialect) -> tuple[Marker, Marker]:
    """The ids before a system text, and between it and the first user's text."""
    found = []
    for system, user in made_up_texts(2):
        messages = _messages(dialect, system, [Turn("user", user)])
        found.append(gaps(tokenizer, render(tokenizer, messages), [system, user])[:2])
    before, after = shared_gaps(tokenizer, found)
    return before, after


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
    writes = dialect.chats and int(opening_ids(tokenizer, dialect, "")[0]) == bos
    plain = tokenizer("x")["input_ids"]
    return BosReport(decode(tokenizer, [bos]), writes, plain[0] == bos)
