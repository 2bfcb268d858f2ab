"""A few texts and conversations that a model writes by itself, and what became of them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from pipeline.curate.filters import FILTERS
from pipeline.curate.measure import Measurer
from pipeline.dialects.frames import Turn
from pipeline.dialects.opening import matches_template
from pipeline.dialects.tokenizer import Tokenizer, decode
from pipeline.engines.engine import Engine
from pipeline.tree.expand import NO_IDS
from pipeline.tree.prompt import ask, count_reasoning, remember, visible_text
from pipeline.tree.recipe import LevelRule, with_stops
from schemas.curation_spec import CurationSpec
from schemas.dialect import Dialect
from schemas.measures import Turns
from schemas.records import Candidate, Completion, Ids, Outcome, Request, Role, Sampling

Roles = tuple[Literal["user", "assistant", "text"], ...]
ROLES: Roles = ("user", "assistant", "user", "assistant")
"""Both kinds of prompts for a user's turn, and both for an assistant's."""
TEXT: Roles = ("text",)
"""One plain text."""

SHAPE_ONLY = CurationSpec(duplicates="keep", diversity=None)
"""The filters that look at a turn's shape and not at what it says."""
NAMES = [entry.filter for entry in SHAPE_ONLY.filters]


@dataclass
class Talk:
    """One conversation as it grows; it ends early at a turn that gives nothing to go on from."""

    system: str
    history: Ids
    begins: Role = "system"
    """`text` for a plain text."""
    turns: list[Candidate] = field(default_factory=list)
    reasons: list[list[str]] = field(default_factory=list)
    """Why each turn would be dropped; [] for most."""
    prompts: list[Ids] = field(default_factory=list)
    differs: list[bool] = field(default_factory=list)
    """Whether each prompt is other than the template's own tokens."""

    @property
    def last(self) -> Role:
        """Who spoke last."""
        return self.turns[-1].role if self.turns else self.begins

    @property
    def goes_on(self) -> bool:
        """Whether the last turn is one to go on from."""
        return not self.reasons or set(self.reasons[-1]) <= {"truncated"}


def hold_talks(
    engine: Engine,
    tokenizer: Tokenizer,
    dialect: Dialect,
    talks: Sequence[Talk],
    sampling: Sampling,
    roles: Roles = ROLES,
) -> None:
    """Grow each conversation by one turn of each role."""
    for role in roles:
        open_talks = [talk for talk in talks if talk.goes_on]
        stops: Literal["text", "turn"] = "text" if role == "text" else "turn"
        rule = LevelRule(role, 1, 1, sampling, "main", stops=stops)
        for number, talk in enumerate(open_talks):
            _ask(talk, tokenizer, dialect)
            engine.add(_request(number, talk, with_stops(rule, dialect)))
        for outcome in _drain(engine):
            _answer(open_talks[int(outcome.key.parent_id)], role, outcome, dialect)


def _ask(talk: Talk, tokenizer: Tokenizer, dialect: Dialect) -> None:
    prompt = ask(talk.history, talk.last, dialect)
    talk.prompts.append(prompt)
    if talk.begins != "text":
        turns = [Turn(turn.role, _as_message(turn, tokenizer, dialect)) for turn in talk.turns]
        talk.differs.append(not matches_template(tokenizer, dialect, talk.system, turns, prompt))


def _as_message(turn: Candidate, tokenizer: Tokenizer, dialect: Dialect) -> str:
    """The text that a template expects: without channels that it would open itself."""
    close = dialect.reasoning_close
    if turn.role == "assistant" and close and dialect.after_user[-len(close) :] == close:
        return decode(tokenizer, turn.token_ids[turn.reasoning_tokens :])
    return turn.text


def _request(number: int, talk: Talk, sampling: Sampling) -> Request:
    return Request(
        wave="probe",
        parent_id=str(number),
        first_child=0,
        n=1,
        prompt=talk.prompts[-1],
        sampling=sampling,
        seed=1000 * number + len(talk.turns),
    )


def _drain(engine: Engine) -> list[Outcome]:
    outcomes = []
    while engine.has_work():
        outcomes += engine.step()
    return outcomes


def _answer(talk: Talk, role: Role, outcome: Outcome, dialect: Dialect) -> None:
    turn = _candidate(role, outcome, dialect)
    talk.reasons.append(["failed"] if turn.failure else _fallen(talk, turn, dialect))
    talk.history = remember(talk.history, talk.last, turn, dialect)
    talk.turns.append(turn)


def _fallen(talk: Talk, turn: Candidate, dialect: Dialect) -> list[str]:
    """The filters that would drop a turn."""
    measures = Measurer(SHAPE_ONLY, dialect)(_alone(talk, turn, dialect))
    return [
        entry.filter
        for entry in SHAPE_ONLY.filters
        if turn.role in entry.roles and FILTERS[entry.filter].drops(measures, entry).any()
    ]


def _alone(talk: Talk, turn: Candidate, dialect: Dialect) -> Turns:
    """One turn as the columns that are measured."""
    return Turns(
        role=turn.role,
        node_ids=[""],
        texts=[visible_text(turn, dialect)],
        token_ids=turn.token_ids,
        ends=np.array([len(turn.token_ids)]),
        reasoning_tokens=np.array([turn.reasoning_tokens], dtype=np.int32),
        finish_reasons=[turn.finish_reason],
        logprob_sums=np.array([np.nan]),
        families=np.zeros(1, dtype=np.int32),
        above=[(talk.system, *(visible_text(said, dialect) for said in talk.turns))],
        references=[""],
        tongues=np.zeros(1, dtype=np.int8),
    )


def _candidate(role: Role, outcome: Outcome, dialect: Dialect) -> Candidate:
    if not isinstance(outcome, Completion):
        return Candidate(0, "", None, (), role, NO_IDS, outcome.message, failure=outcome.reason)
    ids = outcome.token_ids
    return Candidate(
        tree_id=0,
        node_id="",
        parent_id=None,
        path=(),
        role=role,
        token_ids=ids,
        text=outcome.text,
        stop_id=outcome.stop_id,
        reasoning_tokens=count_reasoning(ids, dialect) if role == "assistant" else 0,
        finish_reason=outcome.finish_reason,
    )


def summarise(talks: Sequence[Talk], tokenizer: Tokenizer) -> dict[str, Any]:
    """Conversations as plain values."""
    asked = [differs for talk in talks for differs in talk.differs]
    return {
        "talks": [_as_values(talk, tokenizer) for talk in talks],
        "shares": {role: _shares(talks, role) for role in dict.fromkeys(ROLES)},
        "prompts": {"asked": len(asked), "differing": sum(asked)},
    }


def summarise_texts(talks: Sequence[Talk], tokenizer: Tokenizer) -> dict[str, Any]:
    """Plain texts as plain values."""
    return {"texts": [value for talk in talks for value in _as_values(talk, tokenizer)]}


def _as_values(talk: Talk, tokenizer: Tokenizer) -> list[dict[str, Any]]:
    return [
        {
            "role": turn.role,
            "prompt": decode(tokenizer, prompt),
            "text": turn.text,
            "tokens": len(turn.token_ids),
            "reasoning_tokens": turn.reasoning_tokens,
            "finish": turn.failure or turn.finish_reason,
            "dropped": reasons,
        }
        for turn, prompt, reasons in zip(talk.turns, talk.prompts, talk.reasons, strict=True)
    ]


def _shares(talks: Sequence[Talk], role: Role) -> dict[str, Any]:
    reasons = [
        why
        for talk in talks
        for turn, why in zip(talk.turns, talk.reasons, strict=True)
        if turn.role == role
    ]
    counts = {name: sum(name in why for why in reasons) for name in (*NAMES, "failed")}
    return {"turns": len(reasons), "dropped": counts}
