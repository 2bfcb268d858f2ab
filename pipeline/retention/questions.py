"""Questions with choices as a model's ids.

A text's ids are those of question and choice as one text: where a tokenizer joins the end of the
one with the beginning of the other, what is scored begins before that token, with the same ids for
all choices of a question.
"""

from collections.abc import Sequence
from itertools import takewhile
from typing import NamedTuple

import numpy as np

from pipeline.dialects.derive import require_chat
from pipeline.dialects.spelling import TokenizerSpeller
from pipeline.retention.items import Question
from pipeline.retention.rows import Row, row_from
from pipeline.sft.trainee import Trainee
from pipeline.tree.prompt import ask
from schemas.errors import SpecError
from schemas.records import Ids, Message, to_ids
from schemas.sft_spec import ChoicesSpec

_SHOWN = 60


class Cloze(NamedTuple):
    """A question's choices as ids."""

    prefix: Ids
    """What all of them follow."""
    rests: tuple[Ids, ...]
    """By choice, what is scored."""

    def rows(self) -> list[Row]:
        """Each choice as a row of its own."""
        first = len(self.prefix)
        return [row_from(np.concatenate([self.prefix, rest]), first) for rest in self.rests]


def spell_question(trainee: Trainee, item: Question, spec: ChoicesSpec) -> Cloze:
    """A question as the model reads it: a text, or a user's message."""
    cloze = _as_chat(trainee, item) if spec.chat else _as_text(trainee, item, spec.between)
    shown = repr(item.question[:_SHOWN])
    if not all(map(len, cloze.rests)):
        raise SpecError(
            f"{shown}: one of its choices becomes no token at all with the tokenizer in "
            f"{trainee.location}; expected texts that it can spell."
        )
    if not len(cloze.prefix):
        raise SpecError(
            f"{shown} becomes one token with its choices, and the model in {trainee.location} has "
            "none to begin a text with; expected something before them."
        )
    longest = len(cloze.prefix) + max(map(len, cloze.rests))
    if longest > trainee.context:
        raise SpecError(
            f"{shown} with its choices is {longest} tokens long; expected at most the "
            f"{trainee.context} that the model in {trainee.location} takes."
        )
    return cloze


def _as_chat(trainee: Trainee, item: Question) -> Cloze:
    require_chat(trainee.dialect, trainee.location)
    speller = TokenizerSpeller(trainee.tokenizer, trainee.dialect)
    opening = speller.opening((Message("user", item.question.strip()),))
    prefix = ask(opening.ids, opening.last, trainee.dialect)
    return Cloze(prefix, tuple(speller.ids(choice.strip()) for choice in item.choices))


def _as_text(trainee: Trainee, item: Question, between: str) -> Cloze:
    speller = TokenizerSpeller(trainee.tokenizer, trainee.dialect)
    question = item.question.rstrip()
    wholes = [speller.ids(question + _joint(item, c, between) + c.strip()) for c in item.choices]
    shared = _shared(speller.ids(question), wholes)
    prefix = np.concatenate([to_ids(trainee.dialect.start), wholes[0][:shared]])
    return Cloze(prefix, tuple(whole[shared:] for whole in wholes))


def _joint(item: Question, choice: str, between: str) -> str:
    """What stands between: white space of the item's own, or what the spec says."""
    own = item.question[len(item.question.rstrip()) :] + choice[: -len(choice.lstrip())]
    return own or between


def _shared(question: Ids, wholes: Sequence[Ids]) -> int:
    """How many ids of the question all choices leave as they are."""
    columns = zip(question.tolist(), *(whole.tolist() for whole in wholes), strict=False)
    return sum(1 for _ in takewhile(lambda column: len(set(column)) == 1, columns))
