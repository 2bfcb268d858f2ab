"""Prompts by extension: exact token ids of the ancestors between the dialect's markers.

No text that was sampled is ever tokenised again, unless another model with other tokens reads it.
So the engine's prefix cache hits, training sees the very ids that were sampled, and a prompt can
be rebuilt from rows.
"""

import numpy as np

from schemas.dialect import Dialect
from schemas.records import Candidate, Ids, Opening, Role, to_ids


def ask(history: Ids, last: Role, dialect: Dialect) -> Ids:
    """The prompt for the turn after `history`, which ends with a text of `last`."""
    return np.concatenate([history, _marker(last, dialect, asking=True)])


def tell(history: Ids, last: Role, text: Ids, dialect: Dialect) -> Ids:
    """The history after one more text."""
    return np.concatenate([history, _marker(last, dialect, asking=False), text])


def remember(history: Ids, last: Role, node: Candidate, dialect: Dialect) -> Ids:
    """The history after one more turn, as later prompts repeat it."""
    return tell(history, last, spoken(node), dialect)


def begin(opening: Opening, body: Ids | None, dialect: Dialect) -> Ids:
    """The history that an opening and the turns after it make; None: there is no turn yet."""
    return opening.ids if body is None else tell(opening.ids, opening.last, body, dialect)


def _marker(last: Role, dialect: Dialect, *, asking: bool) -> Ids:
    if last in ("system", "text"):
        return to_ids(())
    if last == "assistant":
        return to_ids(dialect.after_assistant)
    return to_ids(dialect.ask_assistant if asking else dialect.after_user)


def spoken(node: Candidate) -> Ids:
    """The ids of a turn that later prompts repeat: without its reasoning."""
    return node.token_ids[node.reasoning_tokens :]


def visible_text(node: Candidate, dialect: Dialect) -> str:
    """What a reader sees of a turn: the text without its reasoning."""
    if not node.reasoning_tokens or not dialect.reasoning_end:
        return node.text
    return node.text.rpartition(dialect.reasoning_end)[2].lstrip()


def is_unclosed(text: str, reasoning_tokens: int, dialect: Dialect) -> bool:
    """Reasoning was opened, by the prompt or in an answer, and `reasoning_close` never came."""
    if not dialect.reasoning_close or reasoning_tokens:
        return False
    opened_by_model = bool(dialect.reasoning_open) and dialect.reasoning_open in text
    return opened_by_model or _opened_by_prompt(dialect)


def _opened_by_prompt(dialect: Dialect) -> bool:
    """The prompt for an answer goes beyond history's marker, and does not close again."""
    asks, close = dialect.ask_assistant, dialect.reasoning_close
    closed = any(asks[i : i + len(close)] == close for i in range(len(asks)))
    return asks != dialect.after_user and not closed


def count_reasoning(token_ids: Ids, dialect: Dialect) -> int:
    """How many leading ids of an assistant turn its template strips from history."""
    close = dialect.reasoning_close
    end = _end_of_last(token_ids, to_ids(close)) if close else 0
    blank = set(dialect.blank_ids)
    while 0 < end < len(token_ids) and int(token_ids[end]) in blank:
        end += 1
    return end


def _end_of_last(ids: Ids, sequence: Ids) -> int:
    width = len(sequence)
    for start in range(len(ids) - width, -1, -1):
        if np.array_equal(ids[start : start + width], sequence):
            return start + width
    return 0
