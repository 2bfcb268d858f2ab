"""Room: whether what grows from a root fits into the contexts of the models that write it.

What a request may take is known before anything is written: the opening that stands before it, the
markers and what the run itself says, and the max_tokens of all that is sampled down to it.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from pipeline.tree.judge import question_text
from pipeline.tree.prompt import ask, tell
from pipeline.tree.recipe import LevelRule
from pipeline.tree.run import Run
from schemas.records import Ids, Opening, Role, Root

NO_IDS: Ids = np.empty(0, dtype=np.int32)


class Asked(NamedTuple):
    """A request that a tree may lead to: for a turn, or about one."""

    what: str
    level: int
    """Of the turn."""
    group: str
    sampled: int
    """Tokens at most, its own answer and all turns above."""
    said: tuple[str, ...] = ()
    """Where it is about a turn: what the run asks about it, with an answer between."""


class Room:
    """What the requests of a run take, and what its models have."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._asked = tuple(_asked(run.rules))
        self._between: dict[tuple[Asked, Role], int] = {}

    def shortage(self, root: Root) -> str | None:
        """Why the longest request below a root does not fit, in words; None if it does."""
        _, longest = max((self._excess(root, asked), asked) for asked in self._asked)
        return self._in_words(root, longest) if self._excess(root, longest) > 0 else None

    def _excess(self, root: Root, asked: Asked) -> int:
        opening = self._opening(root, asked)
        taken = len(opening.ids) + self._markers(opening.last, asked) + asked.sampled
        return taken - self._run.spec.model_of(asked.group).context

    def _opening(self, root: Root, asked: Asked) -> Opening:
        """What is asked about a turn is asked in the conversation as readers see it."""
        level = 0 if asked.said else asked.level
        return root.opening(level, self._run.tongue(asked.group))

    def _markers(self, last: Role, asked: Asked) -> int:
        if (asked, last) not in self._between:
            self._between[asked, last] = len(_between(self._run, asked, last))
        return self._between[asked, last]

    def _in_words(self, root: Root, asked: Asked) -> str:
        spec, opening = self._run.spec, self._opening(root, asked)
        before, between = len(opening.ids), self._markers(opening.last, asked)
        model = f"models.{asked.group}" if asked.group in spec.models else "model"
        return (
            f"generation.{model}.context: found {spec.model_of(asked.group).context}; the "
            f"conversation down to {asked.what} may take {before + between + asked.sampled} tokens "
            f"({before} for what stands before its turns, {between} for the template's markers and "
            f"what is said between turns, {asked.sampled} for max_tokens); raise the context or "
            "lower max_tokens"
        )


def _asked(rules: Sequence[LevelRule]) -> Iterator[Asked]:
    above = 0
    for level, rule in enumerate(rules, start=1):
        most = rule.sampling.max_tokens
        yield Asked(f"level {level}", level, rule.group, above + most)
        judge, critique = rule.judge, rule.critique
        if critique is not None:
            again = critique.rewrite_tokens or most
            both = critique.critique, critique.rewrite
            total = above + most + critique.critique_tokens + again
            yield Asked(f"a rewritten turn of level {level}", level, critique.engine, total, both)
            most = max(most, again)
        if judge is not None:
            one = (question_text(judge, rule.role),)
            total = above + most + judge.max_tokens
            yield Asked(f"a judgement of level {level}", level, judge.engine, total, one)
        above += most


def _between(run: Run, asked: Asked, last: Role) -> Ids:
    """A request's prompt without its opening and without all that is sampled."""
    tongue = run.tongue(asked.group)
    dialect, phrases = run.dialects[tongue], run.phrases[tongue]
    place = history = NO_IDS
    for rule in run.rules[: asked.level]:
        if rule.say is not None:
            history, last = tell(history, last, phrases[rule.say], dialect), "user"
        place = ask(history, last, dialect)
        history, last = tell(history, last, NO_IDS, dialect), rule.role
    last = last if last == "assistant" else "text"
    for words in asked.said:
        place = ask(tell(history, last, phrases[words], dialect), "user", dialect)
        history, last = place, "assistant"
    return place
