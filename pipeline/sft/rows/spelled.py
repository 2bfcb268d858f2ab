"""What others wrote as the trainee's ids: conversations, pairs of texts, plain texts.

A conversation is rendered by the trainee's own chat template as a whole and tokenised once, so its
ids are those that the model's own software would make. What each turn says is found by its
characters, and what opens and ends it by the dialect's markers and stops; the template need not
mark it. Where a text names a control token, texts are spelled one by one, so that it stays text.
"""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from pipeline.sft.example import Mask
from pipeline.sft.rows.pen import Pen, Spelled
from pipeline.sft.trainee import Trainee
from schemas.records import Ids, Message
from schemas.sft_spec import Loss

_TRAINEES = 4


def spell(
    messages: Sequence[Message], trainee: Trainee, loss: Loss, *, given: int = 0
) -> tuple[Ids, Mask]:
    """A conversation that ends with an answer: its ids, and which of them carry loss.

    The first `given` messages are context, whoever speaks. `ModelError` if it cannot be said.
    """
    ids, spans = spell_turns(messages, trainee)
    if loss == "all":
        return ids, _all_but_first(ids)
    learned = np.zeros(len(ids), dtype=np.bool_)
    for number, (message, (start, end)) in enumerate(zip(messages, spans, strict=True)):
        speaks = message.role == "assistant" or (loss == "turns" and message.role == "user")
        learned[start:end] = speaks and number >= given
    learned[:1] = False
    return ids, learned


def spell_turns(messages: Sequence[Message], trainee: Trainee) -> Spelled:
    """The same with what each message says, to choose from."""
    return _pen(trainee).conversation(tuple(messages))


def spell_prompt(messages: Sequence[Message], trainee: Trainee) -> tuple[Ids, Mask]:
    """A conversation down to where an answer would start; nothing of it is learned."""
    ids = _pen(trainee).prompt(tuple(messages))
    return ids, np.zeros(len(ids), dtype=np.bool_)


def spell_text(text: str, trainee: Trainee) -> tuple[Ids, Mask]:
    """A plain text between what begins and what ends one; all of it is learned."""
    ids, _ = _pen(trainee).text("", text)
    return ids, _all_but_first(ids)


def spell_pair(prompt: str, completion: str, trainee: Trainee, loss: Loss) -> tuple[Ids, Mask]:
    """A plain text in two parts, of which only the second is learned unless the loss is on `all`.

    An id that reaches over the edge between them belongs to the second. Without a completion the
    text does not end, and nothing is learned.
    """
    ids, edge = _pen(trainee).text(prompt, completion)
    learned = _all_but_first(ids)
    if loss != "all" or not completion:
        learned[:edge] = False
    return ids, learned


@lru_cache(maxsize=_TRAINEES)
def _pen(trainee: Trainee) -> Pen:
    return Pen(trainee)


def _all_but_first(ids: Ids) -> Mask:
    learned = np.ones(len(ids), dtype=np.bool_)
    learned[:1] = False
    return learned
