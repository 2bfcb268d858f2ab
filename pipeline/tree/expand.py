"""Expand parents into requests, and attach the outcomes as candidates."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from pipeline.tree.frontier import Parent
from pipeline.tree.identity import node_id, prompt_hash, seed_base
from pipeline.tree.prompt import ask, count_reasoning
from pipeline.tree.recipe import LevelRule, with_stops
from pipeline.tree.run import Run
from schemas.records import Candidate, ChildKey, Completion, Ids, Kind, Outcome, Request, Role

NO_IDS: Ids = np.empty(0, dtype=np.int32)


def expand(run: Run, wave: str, parents: Sequence[Parent], rule: LevelRule) -> list[Request]:
    """One request for all children of each parent."""
    sampling = with_stops(rule, run.dialect)
    seeded = run.spec.guarantee != "none"
    return [
        Request(
            wave=wave,
            parent_id=parent.node_id,
            first_child=0,
            n=rule.asked,
            prompt=ask(parent.history, parent.role, run.dialect),
            sampling=sampling,
            seed=seed_base(run.run_id, parent.tree_id, parent.path) if seeded else None,
            group=rule.group,
        )
        for parent in parents
    ]


def attach(
    run: Run,
    parents: Sequence[Parent],
    requests: Sequence[Request],
    outcomes: Mapping[ChildKey, Outcome],
    rule: LevelRule,
) -> list[Candidate]:
    """Candidates in row order, whatever order the outcomes came in."""
    candidates = []
    for parent, request in zip(parents, requests, strict=True):
        hashed = prompt_hash(request.prompt)
        for key in request.keys:
            candidates.append(_candidate(run, parent, outcomes[key], rule, hashed))
    return candidates


def _candidate(
    run: Run, parent: Parent, outcome: Outcome, rule: LevelRule, hashed: str
) -> Candidate:
    path = (*parent.path, outcome.key.child_index)
    own_id = node_id(run.run_id, parent.tree_id, path)
    place = Place(parent.tree_id, own_id, parent.node_id, path, rule.role)
    reasoning = 0
    if isinstance(outcome, Completion) and rule.role == "assistant":
        reasoning = count_reasoning(outcome.token_ids, run.dialect)
    return fill(place, outcome, prompt_hash=hashed, reasoning_tokens=reasoning)


class Place(NamedTuple):
    """Where a row stands, known before its text exists."""

    tree_id: int
    node_id: str
    parent_id: str
    path: tuple[int, ...]
    role: Role
    kind: Kind = "turn"


def fill(
    place: Place, outcome: Outcome, *, prompt_hash: str, reasoning_tokens: int = 0
) -> Candidate:
    """What came back, in its place; a failure is a row without text."""
    if not isinstance(outcome, Completion):
        return Candidate(
            **place._asdict(),
            token_ids=NO_IDS,
            text="",
            finish_reason="failed",
            failure=outcome.reason,
            prompt_hash=prompt_hash,
        )
    return Candidate(
        **place._asdict(),
        token_ids=outcome.token_ids,
        text=outcome.text,
        stop_id=outcome.stop_id,
        reasoning_tokens=reasoning_tokens,
        finish_reason=outcome.finish_reason,
        logprob_sum=outcome.logprob_sum,
        token_logprobs=outcome.token_logprobs,
        prompt_hash=prompt_hash,
    )
