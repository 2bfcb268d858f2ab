"""The story of one node: where it stands, what became of it, and beside whom. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.report.lookup import Later
from pipeline.storage.shards import WaveRows
from schemas.records import Candidate, Node, Verdict


@dataclass(frozen=True, eq=False)
class Story:
    """All that is known about a node."""

    wave: str
    path: tuple[Candidate, ...]
    """From the root down to the node."""
    verdict: Verdict
    scores: dict[str, float]
    """Those that say something."""
    keeper: Candidate | None
    siblings: tuple[Node, ...]
    """All children of its parent, itself among them, in row order."""
    judgements: tuple[Candidate, ...]
    """What a model said about it."""
    children: tuple[str | None, ...]
    """The drop reason of each, None for a kept one."""
    later: Later | None
    """How a refinement left it out."""

    @property
    def node(self) -> Candidate:
        """The one it is about."""
        return self.path[-1]

    @property
    def mean_logprob(self) -> float | None:
        """Of its tokens; None where it was not asked for."""
        if self.node.logprob_sum is None or not len(self.node.token_ids):
            return None
        return self.node.logprob_sum / len(self.node.token_ids)


@dataclass(frozen=True, eq=False)
class Surroundings:
    """What was read for a story beside the node's own wave."""

    above: Sequence[Candidate]
    children: Sequence[str | None]
    later: Later | None


def tell(wave: str, rows: WaveRows, row: int, around: Surroundings) -> Story:
    """The story of one row of a wave."""
    node = rows.nodes[row]
    parent_id = node.candidate.parent_id
    by_id = {other.candidate.node_id: other.candidate for other in rows.nodes}
    return Story(
        wave=wave,
        path=(*around.above, node.candidate),
        verdict=node.verdict,
        scores=_scores(rows, row),
        keeper=by_id.get(node.verdict.keeper_id or ""),
        siblings=tuple(
            other for other in rows.nodes if parent_id and other.candidate.parent_id == parent_id
        ),
        judgements=tuple(
            aside.candidate
            for aside in rows.asides
            if aside.candidate.parent_id == node.candidate.node_id
        ),
        children=tuple(around.children),
        later=around.later,
    )


def _scores(rows: WaveRows, row: int) -> dict[str, float]:
    values = rows.measures.scores[row]
    return {
        name: float(value)
        for name, value in zip(rows.measures.names, values, strict=True)
        if not np.isnan(value)
    }
