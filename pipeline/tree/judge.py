"""A model as judge: the turn's own conversation goes on with a question about it.

The prompt extends the turn's exact ids, so all but the question is in the engine's cache. What
comes back is a row of its own, beside the tree, and one number about the turn.
"""

import math
import re
from collections.abc import Mapping, Sequence

import numpy as np

from pipeline.tree.expand import Place, fill
from pipeline.tree.frontier import Parent
from pipeline.tree.identity import node_id, prompt_hash, seed_base
from pipeline.tree.prompt import count_reasoning, remember
from pipeline.tree.recipe import LevelRule, with_stops
from pipeline.tree.run import Run
from schemas.curation_spec import JudgeSpec
from schemas.records import (
    Candidate,
    ChildKey,
    Completion,
    Ids,
    Outcome,
    Request,
    Role,
    Sampling,
    to_ids,
)

GREEDY = 0.0
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
_SCALE = re.compile(r"(?:/|out of)\s*\d+")


def question_text(judge: JudgeSpec, role: Role) -> str:
    """The question as it is put: a turn of its own after an answer, else added to the turn."""
    return judge.question if role == "assistant" else f"\n\n{judge.question}"


def judge_requests(
    run: Run, wave: str, parents: Sequence[Parent], judged: Sequence[Candidate], rule: LevelRule
) -> list[Request]:
    """One greedy request about each turn."""
    judge = rule.judge
    assert judge is not None
    asked = LevelRule(
        role="assistant",
        asked=1,
        fanout=1,
        sampling=Sampling(max_tokens=judge.max_tokens, temperature=GREEDY),
        group=judge.engine,
    )
    sampling = with_stops(asked, run.dialect)
    by_id = {parent.node_id: parent for parent in parents}
    seeded = run.spec.guarantee != "none"
    return [
        Request(
            wave=wave,
            parent_id=node.node_id,
            first_child=0,
            n=1,
            prompt=judge_prompt(run, by_id[node.parent_id or ""], node, judge),
            sampling=sampling,
            seed=seed_base(run.run_id, node.tree_id, node.path, "judge") if seeded else None,
            kind="judge",
            group=judge.engine,
        )
        for node in judged
    ]


def judge_prompt(run: Run, parent: Parent, node: Candidate, judge: JudgeSpec) -> Ids:
    """The conversation down to the turn, then the question, then the marker to answer."""
    parts = [remember(parent.history, parent.role, node, run.dialect)]
    if node.role == "assistant":
        parts.append(to_ids(run.dialect.after_assistant))
    parts.append(run.questions[question_text(judge, node.role)])
    parts.append(to_ids(run.dialect.ask_assistant))
    return np.concatenate(parts)


def judgements(
    run: Run,
    judged: Sequence[Candidate],
    requests: Sequence[Request],
    outcomes: Mapping[ChildKey, Outcome],
) -> list[Candidate]:
    """The answers as rows, below the turns they are about."""
    rows = []
    for node, request in zip(judged, requests, strict=True):
        path = (*node.path, 0)
        own_id = node_id(run.run_id, node.tree_id, path, "judge")
        place = Place(node.tree_id, own_id, node.node_id, path, "assistant", "judge")
        outcome = outcomes[request.keys[0]]
        thought = 0
        if isinstance(outcome, Completion):
            thought = count_reasoning(outcome.token_ids, run.dialect)
        hashed = prompt_hash(request.prompt)
        rows.append(fill(place, outcome, prompt_hash=hashed, reasoning_tokens=thought))
    return rows


def read_score(text: str, judge: JudgeSpec) -> float:
    """The number that a judgement begins with, or the only one in it; NaN where none is.

    A number outside of the judge's scale is none, and `/5` or `out of 5` says the scale.
    """
    said = _SCALE.sub("", text).strip("*_ \n")
    numbers = {float(number) for number in _NUMBER.findall(said)}
    first = _NUMBER.match(said)
    score = float(first.group()) if first else numbers.pop() if len(numbers) == 1 else math.nan
    return score if judge.low <= score <= judge.high else math.nan
