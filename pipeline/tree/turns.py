"""Candidates as the turns that are measured."""

from collections.abc import Sequence

import numpy as np

from pipeline.tree.frontier import Parent
from pipeline.tree.prompt import visible_text
from pipeline.tree.run import Run
from schemas.measures import Turns
from schemas.records import Candidate

NOT_KNOWN = float("nan")


def turns_of(run: Run, parents: Sequence[Parent], sampled: Sequence[Candidate]) -> Turns:
    """The sampled candidates of a wave, which are not failures, in the order given."""
    families = {parent.node_id: index for index, parent in enumerate(parents)}
    ids = [candidate.token_ids for candidate in sampled]
    logprobs = [NOT_KNOWN if c.logprob_sum is None else c.logprob_sum for c in sampled]
    return Turns(
        role=sampled[0].role if sampled else "user",
        node_ids=[candidate.node_id for candidate in sampled],
        texts=[seen_text(run, candidate) for candidate in sampled],
        token_ids=np.concatenate(ids) if ids else np.empty(0, dtype=np.int32),
        ends=np.cumsum([len(one) for one in ids], dtype=np.int64),
        reasoning_tokens=np.array([c.reasoning_tokens for c in sampled], dtype=np.int32),
        finish_reasons=[candidate.finish_reason for candidate in sampled],
        logprob_sums=np.array(logprobs, dtype=np.float64),
        families=np.array([families[c.parent_id or ""] for c in sampled], dtype=np.int32),
        above=[parent.said for parent in parents],
        # A reference answers the root's question, and none further down.
        references=["" if p.path else p.root.reference or "" for p in parents],
        tongues=np.array([run.tongues[c.model_index] for c in sampled], dtype=np.int8),
        asked=(run.rule(sampled[0].level).say or "") if sampled else "",
    )


def seen_text(run: Run, node: Candidate) -> str:
    """What a reader sees of a turn, whichever model wrote it."""
    return visible_text(node, run.dialects[run.tongues[node.model_index]])
