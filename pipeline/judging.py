"""From measured candidates to the rows of a wave: what becomes of each, and who stands in."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from pipeline.curate.curate import curate
from pipeline.flight import OpenWave
from pipeline.passes import JUDGE, rows_beside
from pipeline.storage.shards import WaveRows
from pipeline.tree.expand import stand_in
from pipeline.tree.frontier import Parent
from pipeline.tree.judge import read_score
from pipeline.tree.recipe import LevelRule
from pipeline.tree.roots import root_candidate
from pipeline.tree.run import Run
from pipeline.tree.turns import seen_text
from schemas.curation_spec import JudgeSpec
from schemas.manifest import Counts
from schemas.measures import Measures
from schemas.records import KEEP, Candidate, Node, Verdict


def sampled(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Those that have a text; only they are measured."""
    return [candidate for candidate in candidates if candidate.failure is None]


def measured_rows(candidates: Sequence[Candidate]) -> npt.NDArray[np.intp]:
    """By candidate, its row among those that are measured; -1 for failures."""
    there = np.array([candidate.failure is None for candidate in candidates], dtype=bool)
    return np.where(there, np.cumsum(there) - 1, -1)


def judged_rows(run: Run, opened: OpenWave) -> WaveRows:
    """The rows of a wave, a cohort's roots before its openings."""
    assert opened.measures is not None
    asides = list(rows_beside(run, opened))
    measures = opened.measures
    if opened.rule.judge is not None:
        said = [aside for aside in asides if aside.kind == JUDGE]
        measures = with_judgements(run, opened.rule.judge, opened.candidates, measures, said)
    verdicts = verdicts_of(run, opened.rule, opened.candidates, measures)
    nodes = list(map(Node, opened.candidates, verdicts))
    given = [Node(row, KEEP) for row in stand_ins(run, opened.rule, opened.parents, nodes)]
    roots = [parent.root for parent in opened.parents] if opened.wave.level == 1 else []
    given += [Node(root_candidate(run, root), KEEP) for root in roots]
    nodes, rows = _in_row_order(nodes, given)
    beside = [Node(aside, aside_verdict(aside)) for aside in asides]
    return WaveRows(nodes, measures.take(rows), beside, roots)


def verdicts_of(
    run: Run, rule: LevelRule, candidates: Sequence[Candidate], measures: Measures
) -> list[Verdict]:
    """One verdict for each candidate of a wave, in row order."""
    return curate(
        candidates,
        measures,
        fanout=rule.fanout,
        compared=rule.compared,
        spec=run.spec.curation,
        texts=[seen_text(run, candidate) for candidate in candidates],
    )


def stand_ins(
    run: Run, rule: LevelRule, parents: Sequence[Parent], nodes: Sequence[Node]
) -> list[Candidate]:
    """The reference in place of an answer, for each parent that kept none."""
    if not rule.falls_back:
        return []
    kept = {node.candidate.parent_id for node in nodes if node.verdict.kept}
    return [
        stand_in(run, parent, rule)
        for parent in parents
        if parent.node_id not in kept and parent.root.reference_ids is not None
    ]


def aside_verdict(aside: Candidate) -> Verdict:
    """An aside is kept, unless nothing came back."""
    return KEEP if aside.failure is None else Verdict(f"failed:{aside.failure}")


def count(opened: OpenWave, rows: WaveRows, *, unused_tokens: int = 0) -> Counts:
    """What became of a wave's candidates."""
    asked = [node for node in rows.nodes if node.candidate.origin != "given"]
    reasons = Counter(node.verdict.drop_reason for node in asked)
    kept = reasons.pop(None, 0)
    return Counts(
        asked=opened.asked,
        kept=kept,
        dropped={reason: n for reason, n in sorted(reasons.items()) if reason},
        prompt_tokens=sum(len(request.prompt) * request.n for request in opened.requests),
        output_tokens=sum(len(c.token_ids) for c in opened.candidates),
        asides=count_asides(rows.asides),
        aside_tokens=sum(len(node.candidate.token_ids) for node in rows.asides),
        unused_tokens=unused_tokens,
        given=sum(n.candidate.origin == "given" and n.candidate.level > 0 for n in rows.nodes),
    )


def count_asides(asides: Sequence[Node]) -> dict[str, int]:
    """What was asked about candidates, by kind; failures apart, as `judge failed`."""
    kinds = (aside.kind if verdict.kept else f"{aside.kind} failed" for aside, verdict in asides)
    return dict(sorted(Counter(kinds).items()))


def with_judgements(
    run: Run,
    judge: JudgeSpec,
    candidates: Sequence[Candidate],
    measures: Measures,
    asides: Sequence[Candidate],
) -> Measures:
    """The measures with the judge's scores; NaN for a turn without a readable one."""
    scores = {aside.parent_id: read_score(seen_text(run, aside), judge) for aside in asides}
    column = [scores.get(candidate.node_id, np.nan) for candidate in candidates]
    return measures.with_score(JUDGE, np.array(column, dtype=np.float32))


def _in_row_order(
    sampled: Sequence[Node], given: Sequence[Node]
) -> tuple[list[Node], npt.NDArray[np.intp]]:
    """Both in row order, and by row which sampled one it is; -1 for one that was given."""
    both = [*given, *sampled]
    order = sorted(
        range(len(both)), key=lambda i: (both[i].candidate.tree_id, both[i].candidate.path)
    )
    rows = np.maximum(np.array(order, dtype=np.intp) - len(given), -1)
    return [both[i] for i in order], rows
