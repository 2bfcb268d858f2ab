"""Expand parents into requests, and attach the outcomes as candidates."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from pipeline.tree.frontier import Parent, prompt_of
from pipeline.tree.identity import node_id, prompt_hash, seed_base
from pipeline.tree.prompt import count_reasoning
from pipeline.tree.recipe import LevelRule, with_stops
from pipeline.tree.run import Run
from schemas.records import Candidate, ChildKey, Completion, Ids, Kind, Outcome, Request, Role

NO_IDS: Ids = np.empty(0, dtype=np.int32)


def expand(run: Run, wave: str, parents: Sequence[Parent], rule: LevelRule) -> list[Request]:
    """One request for all children of each parent."""
    sampling = with_stops(rule, run.dialect(rule.group))
    seeded = run.spec.guarantee != "none"
    return [
        Request(
            wave=wave,
            parent_id=parent.node_id,
            first_child=0,
            n=rule.asked,
            prompt=_prompt(run, parent, rule),
            sampling=sampling,
            seed=seed_base(run.run_id, parent.tree_id, parent.path) if seeded else None,
            group=rule.group,
        )
        for parent in parents
    ]


def _prompt(run: Run, parent: Parent, rule: LevelRule) -> Ids:
    prompt = prompt_of(run, parent, rule)
    assert prompt is not None, "a run that grows has its spellers"
    return prompt


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
    return fill(run, place, outcome, prompt_hash=hashed, group=rule.group)


def stand_in(run: Run, parent: Parent, rule: LevelRule) -> Candidate:
    """The root's reference as a child of its own, after all that were asked for."""
    root = parent.root
    assert root.reference is not None
    assert root.reference_ids is not None
    path = (*parent.path, rule.asked)
    return Candidate(
        tree_id=parent.tree_id,
        node_id=node_id(run.run_id, parent.tree_id, path),
        parent_id=parent.node_id,
        path=path,
        role=rule.role,
        token_ids=root.reference_ids,
        text=root.reference,
        origin="given",
        model_index=run.spec.model_index(rule.group),
    )


class Place(NamedTuple):
    """Where a row stands, known before its text exists."""

    tree_id: int
    node_id: str
    parent_id: str
    path: tuple[int, ...]
    role: Role
    kind: Kind = "turn"


def fill(run: Run, place: Place, outcome: Outcome, *, prompt_hash: str, group: str) -> Candidate:
    """What a group's model said, in its place; a failure is a row without text."""
    index = run.spec.model_index(group)
    if not isinstance(outcome, Completion):
        return Candidate(
            *place[:5],
            kind=place.kind,
            token_ids=NO_IDS,
            text="",
            model_index=index,
            finish_reason="failed",
            failure=outcome.reason,
            prompt_hash=prompt_hash,
        )
    thinks = place.role == "assistant"
    dialect = run.dialect(group)
    return Candidate(
        *place[:5],
        kind=place.kind,
        token_ids=outcome.token_ids,
        text=outcome.text,
        model_index=index,
        stop_id=outcome.stop_id,
        reasoning_tokens=count_reasoning(outcome.token_ids, dialect) if thinks else 0,
        finish_reason=outcome.finish_reason,
        logprob_sum=outcome.logprob_sum,
        token_logprobs=outcome.token_logprobs,
        prompt_hash=prompt_hash,
        top=outcome.top,
    )
