"""Asides: what is asked about a turn, in the turn's own conversation.

The prompt extends the turn's exact ids, so all but the question is in the engine's cache. What
comes back is a row of its own, beside the tree.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from pipeline.tree.expand import Place, fill, writer_of
from pipeline.tree.frontier import Parent, grown
from pipeline.tree.identity import node_id, prompt_hash, seed_base
from pipeline.tree.prompt import begin
from pipeline.tree.recipe import LevelRule, with_stops
from pipeline.tree.run import Run
from schemas.records import Candidate, ChildKey, Ids, Kind, Outcome, Request, Sampling


class Aside(NamedTuple):
    """How something is asked about turns."""

    kind: Kind
    group: str
    sampling: Sampling


def told(run: Run, parent: Parent, node: Candidate, group: str) -> Ids:
    """The conversation as readers see it, down to a turn, in the tongue of a group."""
    tongue = run.tongue(group)
    body = grown(run, parent, node).bodies[tongue]
    assert body is not None, "what is asked about a turn needs the run's spellers"
    return begin(parent.root.opening(0, tongue), body, run.dialects[tongue])


def aside_request(run: Run, wave: str, node: Candidate, prompt: Ids, aside: Aside) -> Request:
    """One request about a turn."""
    rule = LevelRule("assistant", 1, 1, aside.sampling, aside.group)
    seeded = run.spec.guarantee != "none"
    return Request(
        wave=wave,
        parent_id=node.node_id,
        first_child=0,
        n=1,
        prompt=prompt,
        sampling=with_stops(rule, run.dialect(aside.group)),
        seed=seed_base(run.run_id, node.tree_id, node.path, aside.kind) if seeded else None,
        kind=aside.kind,
        group=aside.group,
    )


def aside_place(run: Run, node: Candidate, kind: Kind) -> Place:
    """Where a row about a turn stands: below it."""
    path = (*node.path, 0)
    own_id = node_id(run.run_id, node.tree_id, path, kind)
    return Place(node.tree_id, own_id, node.node_id, path, "assistant", kind)


def aside_rows(
    run: Run,
    about: Mapping[str, Candidate],
    requests: Sequence[Request],
    outcomes: Mapping[ChildKey, Outcome],
) -> list[Candidate]:
    """The answers as rows, in the order of the requests."""
    return [
        fill(
            writer_of(run, request.group),
            aside_place(run, about[request.parent_id], request.kind),
            outcomes[request.keys[0]],
            prompt_hash=prompt_hash(request.prompt),
        )
        for request in requests
    ]
