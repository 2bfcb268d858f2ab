"""Frontiers: the kept nodes that are expanded next, each with the turns its children see."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from pipeline.tree.identity import unit_draw
from pipeline.tree.prompt import ask, begin, spoken, tell, visible_text
from pipeline.tree.recipe import LevelRule
from pipeline.tree.run import Run
from schemas.errors import CorruptData
from schemas.records import Candidate, Ids, Role, Root


@dataclass(frozen=True, slots=True, eq=False)
class Parent:
    """A node to be expanded."""

    tree_id: int
    node_id: str
    path: tuple[int, ...]
    role: Role
    root: Root
    bodies: tuple[Ids | None, ...]
    """By tongue, the turns after the opening, down to and including this node's text; None where
    they were written in another tongue and no speller is at hand."""
    said: tuple[str, ...] = ()
    """The whole conversation as texts, a system prompt (it may be empty) first."""


def prompt_of(run: Run, parent: Parent, rule: LevelRule) -> Ids | None:
    """What the children of a parent are asked from; None where it cannot be spelled."""
    tongue = run.tongue(rule.group)
    opening = parent.root.opening(len(parent.path) + 1, tongue)
    body, dialect = parent.bodies[tongue], run.dialects[tongue]
    if body is None:
        return None
    before = begin(opening, body if parent.path else None, dialect)
    last = parent.role if parent.path else opening.last
    if rule.say is not None:
        before, last = tell(before, last, run.phrases[tongue][rule.say], dialect), "user"
    return ask(before, last, dialect)


def frontier_of(run: Run, parents: Sequence[Parent], kept: Iterable[Candidate]) -> list[Parent]:
    """The kept nodes of a wave that are expanded further, in row order."""
    by_id = {parent.node_id: parent for parent in parents}
    return [
        grown(run, _of(by_id, node), node)
        for node in kept
        if node.parent_id is not None and _expands(run, node)
    ]


def _of(by_id: Mapping[str, Parent], node: Candidate) -> Parent:
    parent = by_id.get(node.parent_id or "")
    if parent is None:
        raise CorruptData(
            f"node {node.node_id}: its parent {node.parent_id} is not among those its wave "
            "expands; its row was changed. `arborist verify` lists all defects of the run."
        )
    return parent


def grown(run: Run, parent: Parent, node: Candidate) -> Parent:
    """A node as a parent: the conversation above it, and one more turn."""
    rule = run.rule(node.level)
    text = visible_text(node, run.dialects[run.tongues[node.model_index]])
    said = (*parent.said, text) if rule.say is None else (*parent.said, rule.say, text)
    bodies = [_longer(run, parent, node, rule, text, t) for t in range(len(run.dialects))]
    return Parent(
        node.tree_id, node.node_id, node.path, node.role, parent.root, tuple(bodies), said
    )


def _longer(
    run: Run, parent: Parent, node: Candidate, rule: LevelRule, text: str, tongue: int
) -> Ids | None:
    """The turns after the opening, one more than the parent's."""
    body, dialect = parent.bodies[tongue], run.dialects[tongue]
    own = run.tongues[node.model_index] == tongue
    if body is None or not (own or run.spellers):
        return None
    last: Role = parent.role if parent.path else "system"
    if rule.say is not None:
        body, last = tell(body, last, run.phrases[tongue][rule.say], dialect), "user"
    turn = spoken(node) if own else run.spellers[tongue].heard(text)
    return tell(body, last, turn, dialect)


def _expands(run: Run, node: Candidate) -> bool:
    if node.level >= run.recipe.num_levels(run.spec):
        return False
    opening = unit_draw(run.run_id, node.tree_id, node.path[:1], "turns")
    return run.recipe.expands(run.spec, opening, node.level)
