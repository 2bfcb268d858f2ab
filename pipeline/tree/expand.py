"""Expand parents into requests, and attach the outcomes as candidates."""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from pipeline.tree.frontier import Parent, prompt_of
from pipeline.tree.identity import child_ids, node_id, prompt_hash, seed_base
from pipeline.tree.prompt import count_reasoning
from pipeline.tree.recipe import LevelRule, with_stops
from pipeline.tree.run import Run
from schemas.dialect import Dialect
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
    writer = writer_of(run, rule.group)
    candidates = []
    for parent, request in zip(parents, requests, strict=True):
        hashed = prompt_hash(request.prompt)
        for place, key in _places(run, parent, request, rule.role):
            candidates.append(fill(writer, place, outcomes[key], prompt_hash=hashed))
    return candidates


def _places(
    run: Run, parent: Parent, request: Request, role: Role
) -> Iterator[tuple["Place", ChildKey]]:
    keys = request.keys
    ids = child_ids(run.run_id, parent.tree_id, parent.path, (key.child_index for key in keys))
    for own_id, key in zip(ids, keys, strict=True):
        path = (*parent.path, key.child_index)
        yield Place(parent.tree_id, own_id, parent.node_id, path, role), key


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


def place_of(run: Run, parent: Parent, child_index: int, role: Role) -> Place:
    """Of one child."""
    path = (*parent.path, child_index)
    own_id = node_id(run.run_id, parent.tree_id, path)
    return Place(parent.tree_id, own_id, parent.node_id, path, role)


class Writer(NamedTuple):
    """Whose words they are."""

    model_index: int
    dialect: Dialect


def writer_of(run: Run, group: str) -> Writer:
    """The model of an engine group."""
    return Writer(run.spec.model_index(group), run.dialect(group))


def fill(writer: Writer, place: Place, outcome: Outcome, *, prompt_hash: str) -> Candidate:
    """What a model said, in its place; a failure is a row without text."""
    if not isinstance(outcome, Completion):
        return Candidate(
            *place[:5],
            kind=place.kind,
            token_ids=NO_IDS,
            text="",
            model_index=writer.model_index,
            finish_reason="failed",
            failure=outcome.reason,
            prompt_hash=prompt_hash,
        )
    thinks = place.role == "assistant"
    return Candidate(
        *place[:5],
        kind=place.kind,
        token_ids=outcome.token_ids,
        text=outcome.text,
        model_index=writer.model_index,
        stop_id=outcome.stop_id,
        reasoning_tokens=count_reasoning(outcome.token_ids, writer.dialect) if thinks else 0,
        finish_reason=outcome.finish_reason,
        logprob_sum=outcome.logprob_sum,
        token_logprobs=outcome.token_logprobs,
        prompt_hash=prompt_hash,
        top=outcome.top,
    )
