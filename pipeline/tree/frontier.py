"""Frontiers: the kept nodes that are expanded next, each with the history its children see."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pipeline.tree.identity import node_id, unit_draw
from pipeline.tree.prompt import remember, visible_text
from pipeline.tree.run import Run
from schemas.errors import CorruptData
from schemas.records import Candidate, Ids, Role


@dataclass(frozen=True, slots=True, eq=False)
class Parent:
    """A node to be expanded."""

    tree_id: int
    node_id: str
    path: tuple[int, ...]
    role: Role
    history: Ids
    """The conversation down to and including this node's text."""
    said: tuple[str, ...] = ()
    """The same as texts, the root's first."""


def root_candidate(run: Run, tree_id: int) -> Candidate:
    """The row of level 0: the root's text, and the opening as its token ids."""
    root = run.recipe.root(run.spec, tree_id)
    return Candidate(
        tree_id=tree_id,
        node_id=node_id(run.run_id, tree_id, ()),
        parent_id=None,
        path=(),
        role="system",
        token_ids=run.openings[root.text],
        text=root.text,
        origin="given",
    )


def root_parents(run: Run, tree_ids: Iterable[int]) -> list[Parent]:
    """The frontier above a cohort's first wave."""
    roots = [root_candidate(run, tree_id) for tree_id in tree_ids]
    return [Parent(r.tree_id, r.node_id, (), "system", r.token_ids, (r.text,)) for r in roots]


def frontier_of(run: Run, parents: Sequence[Parent], kept: Iterable[Candidate]) -> list[Parent]:
    """The kept nodes of a wave that are expanded further, in row order."""
    by_id = {parent.node_id: parent for parent in parents}
    return [
        _grown(run, by_id.get(node.parent_id), node)
        for node in kept
        if node.parent_id is not None and _expands(run, node)
    ]


def _grown(run: Run, parent: Parent | None, node: Candidate) -> Parent:
    """A kept node as a parent: the conversation above it, and one more turn."""
    if parent is None:
        raise CorruptData(
            f"node {node.node_id}: its parent {node.parent_id} is not among those its wave "
            "expands; its row was changed. `arborist verify` lists all defects of the run."
        )
    return Parent(
        tree_id=node.tree_id,
        node_id=node.node_id,
        path=node.path,
        role=node.role,
        history=remember(parent.history, parent.role, node, run.dialect),
        said=(*parent.said, visible_text(node, run.dialect)),
    )


def _expands(run: Run, node: Candidate) -> bool:
    if node.level >= run.recipe.num_levels(run.spec):
        return False
    opening = unit_draw(run.run_id, node.tree_id, node.path[:1], "turns")
    return run.recipe.expands(run.spec, opening, node.level)
