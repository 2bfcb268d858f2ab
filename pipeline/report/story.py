"""The story of one node: where it stands, what became of it, and beside whom. Pure."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.report.lookup import Child, Later
from pipeline.storage.shards import WaveRows
from schemas.errors import CorruptData
from schemas.records import Candidate, Node, Root, Verdict

ORDER = ("draft", "critique", "rewrite", "judge")
"""In which rows beside a turn came to be."""


@dataclass(frozen=True, eq=False)
class Story:
    """All that is known about a node."""

    wave: str
    root: Root
    """What its tree grows from."""
    path: tuple[Candidate, ...]
    """From the root down to the node; a node beside the tree stands below the turn it is about."""
    verdict: Verdict
    scores: dict[str, float]
    """Those that say something."""
    keeper: Candidate | None
    siblings: tuple[Node, ...]
    """All children of its parent, itself among them, in row order."""
    beside: tuple[Node, ...]
    """Drafts, critiques and judgements of the turn, in the order in which they came to be; a node
    beside the tree is among them."""
    children: tuple[Child, ...]
    later: Later | None
    """How a refinement left it out."""

    @property
    def node(self) -> Candidate:
        """The one it is about."""
        return self.path[-1]

    @property
    def turn(self) -> Candidate:
        """The node itself, or the turn that it stands beside."""
        return self.node if self.node.kind == "turn" else self.path[-2]

    @property
    def stands_in(self) -> bool:
        """Whether it is a reference in the place of an answer."""
        return self.node.origin == "given" and self.node.level > 0

    @property
    def fallen(self) -> dict[str, int]:
        """Its dropped siblings by reason."""
        reasons = Counter(sibling.verdict.drop_reason for sibling in self.siblings)
        return {reason: count for reason, count in sorted(reasons.items(), key=str) if reason}

    @property
    def mean_logprob(self) -> float | None:
        """Of its tokens; None where it was not asked for."""
        if self.node.logprob_sum is None or not len(self.node.token_ids):
            return None
        return self.node.logprob_sum / len(self.node.token_ids)


@dataclass(frozen=True, eq=False)
class Surroundings:
    """What was read for a story beside the node's own wave."""

    root: Root
    above: Sequence[Candidate]
    """From the root down to the parent of the turn."""
    children: Sequence[Child]
    later: Later | None


def turn_row(rows: WaveRows, node_id: str) -> int:
    """The row of a node, or of the turn that it stands beside."""
    ids = [node.candidate.node_id for node in rows.nodes]
    about = {aside.candidate.node_id: aside.candidate.parent_id for aside in rows.asides}
    turn_id = about.get(node_id, node_id)
    if turn_id not in ids:
        raise CorruptData(
            f"node {node_id}: the turn {turn_id} that it stands beside is not in its wave. "
            "`arborist verify` lists all defects of the run."
        )
    return ids.index(turn_id)


def tell(wave: str, rows: WaveRows, node_id: str, around: Surroundings) -> Story:
    """The story of a node of a wave."""
    row = turn_row(rows, node_id)
    turn = rows.nodes[row]
    beside = _beside(rows, turn.candidate)
    aside = next((node for node in beside if node.candidate.node_id == node_id), None)
    told = Story(
        wave=wave,
        root=around.root,
        path=(*around.above, turn.candidate),
        verdict=turn.verdict,
        scores=_scores(rows, row),
        keeper=_keeper(rows, turn),
        siblings=_siblings(rows, turn.candidate),
        beside=beside,
        children=tuple(around.children),
        later=around.later,
    )
    return told if aside is None else _of_aside(told, aside)


def _of_aside(turn: Story, aside: Node) -> Story:
    """Its path is the turn's; what is known of the turn's place in the tree is not its own."""
    return Story(
        wave=turn.wave,
        root=turn.root,
        path=(*turn.path, aside.candidate),
        verdict=aside.verdict,
        scores={},
        keeper=None,
        siblings=(),
        beside=turn.beside,
        children=(),
        later=None,
    )


def _beside(rows: WaveRows, turn: Candidate) -> tuple[Node, ...]:
    said = [aside for aside in rows.asides if aside.candidate.parent_id == turn.node_id]
    return tuple(sorted(said, key=lambda aside: ORDER.index(aside.candidate.kind)))


def _keeper(rows: WaveRows, turn: Node) -> Candidate | None:
    wanted = turn.verdict.keeper_id
    found = (node.candidate for node in rows.nodes if node.candidate.node_id == wanted)
    return next(found, None) if wanted else None


def _siblings(rows: WaveRows, turn: Candidate) -> tuple[Node, ...]:
    parent_id = turn.parent_id
    return tuple(
        other for other in rows.nodes if parent_id and other.candidate.parent_id == parent_id
    )


def _scores(rows: WaveRows, row: int) -> dict[str, float]:
    values = rows.measures.scores[row]
    return {
        name: float(value)
        for name, value in zip(rows.measures.names, values, strict=True)
        if not np.isnan(value)
    }
