"""Prompts by extension: exact token ids of the ancestors between the dialect's markers.

No text is ever tokenised again. So the engine's prefix cache hits, training sees the very ids
that were sampled, and a prompt can be rebuilt from rows.
"""

import numpy as np

from schemas.dialect import Dialect
from schemas.records import Candidate, Ids, Role, to_ids


def ask(history: Ids, last: Role, dialect: Dialect) -> Ids:
    """The prompt for the turn after `history`, which ends with the text of a `last` turn."""
    return np.concatenate([history, to_ids(_marker(last, dialect, asking=True))])


def remember(history: Ids, last: Role, node: Candidate, dialect: Dialect) -> Ids:
    """The history of the conversation after one more turn."""
    marker = to_ids(_marker(last, dialect, asking=False))
    return np.concatenate([history, marker, node.token_ids[node.reasoning_tokens :]])


def _marker(last: Role, dialect: Dialect, *, asking: bool) -> tuple[int, ...]:
    if last == "system":
        return ()
    if last == "assistant":
        return dialect.after_assistant
    return dialect.ask_assistant if asking else dialect.after_user


def visible_text(node: Candidate, dialect: Dialect) -> str:
    """What a reader sees of a turn: the text without its reasoning."""
    if not node.reasoning_tokens or not dialect.reasoning_end:
        return node.text
    return node.text.rpartition(dialect.reasoning_end)[2].lstrip()


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
