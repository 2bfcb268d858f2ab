"""Roots: from rows of data to what trees grow from, in the ids of every model that writes them."""

from collections.abc import Iterable, Sequence
from typing import Protocol

from pipeline.tree.frontier import Parent
from pipeline.tree.identity import node_id
from pipeline.tree.rules import groups_of
from pipeline.tree.run import Run
from schemas.records import Candidate, Frame, Ids, Message, Opening, Root, RootRow, to_ids

NOTHING = Message("system", "")


class Rows(Protocol):
    """What trees grow from, by number."""

    def __len__(self) -> int: ...
    def __getitem__(self, index: int) -> RootRow: ...


def plant(run: Run, rows: Rows, tree_ids: Iterable[int]) -> list[Root]:
    """The roots of trees. Needs the run's spellers."""
    picks = run.recipe.picks
    return [
        root_of(run, [rows[i] for i in picks(run.spec, len(rows), tree_id)], tree_id)
        for tree_id in tree_ids
    ]


def root_of(run: Run, picked: Sequence[RootRow], tree_id: int = 0) -> Root:
    """The root of a tree that grows from these rows; `ModelError` where they cannot be said."""
    frame = run.recipe.frame(run.spec, picked, 0)
    reference = picked[0].reference if len(picked) == 1 else None
    return Root(
        tree_id=tree_id,
        frame=frame,
        openings=_openings(run, picked, frame),
        reference=reference,
        reference_ids=_reference_ids(run, reference),
        source=", ".join(row.source for row in picked),
    )


def _openings(run: Run, picked: Sequence[RootRow], frame: Frame) -> dict[tuple[int, int], Opening]:
    tongues = sorted({run.tongue(group) for group in groups_of(run.rules)})
    openings = {(0, tongue): run.spellers[tongue].opening(frame) for tongue in tongues}
    for level, rule in enumerate(run.rules, start=1):
        asked = run.recipe.frame(run.spec, picked, level)
        if asked != frame:
            tongue = run.tongue(rule.group)
            openings[level, tongue] = run.spellers[tongue].opening(asked)
    return openings


def _reference_ids(run: Run, reference: str | None) -> Ids | None:
    if reference is None or not run.rules[0].falls_back:
        return None
    return run.spellers[run.tongue(run.rules[0].group)].ids(reference)


def root_candidate(run: Run, root: Root) -> Candidate:
    """The row of level 0: the last text of the frame, and the opening as its token ids."""
    last = root.frame[-1] if root.frame else NOTHING
    return Candidate(
        tree_id=root.tree_id,
        node_id=node_id(run.run_id, root.tree_id, ()),
        parent_id=None,
        path=(),
        role=last.role,
        token_ids=root.opening(0, run.tongue(run.rules[0].group)).ids,
        text=last.text,
        origin="given",
    )


def root_parents(run: Run, roots: Iterable[Root]) -> list[Parent]:
    """The frontier above a cohort's first wave."""
    return [_parent(run, root) for root in roots]


def _parent(run: Run, root: Root) -> Parent:
    row = root_candidate(run, root)
    said = [text for _, text in root.frame]
    if not root.frame or root.frame[0].role != "system":
        said.insert(0, "")
    return Parent(
        tree_id=root.tree_id,
        node_id=row.node_id,
        path=(),
        role=row.role,
        root=root,
        bodies=tuple(to_ids(()) for _ in run.dialects),
        said=tuple(said),
    )
