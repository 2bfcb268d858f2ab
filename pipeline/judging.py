"""From measured candidates to the rows of a wave: who is judged, and what becomes of each."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from pipeline.curate.curate import curate, fall_to_filters
from pipeline.flight import OpenWave
from pipeline.storage.shards import WaveRows
from pipeline.tree.frontier import root_candidate
from pipeline.tree.judge import judge_requests, judgements, read_score
from pipeline.tree.prompt import visible_text
from pipeline.tree.run import Run
from schemas.curation_spec import JudgeSpec
from schemas.measures import Measures
from schemas.records import KEEP, Candidate, Node, Request

JUDGE = "judge"


def sampled(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Those that have a text; only they are measured."""
    return [candidate for candidate in candidates if candidate.failure is None]


def measured_rows(candidates: Sequence[Candidate]) -> npt.NDArray[np.intp]:
    """By candidate, its row among those that are measured; -1 for failures."""
    there = np.array([candidate.failure is None for candidate in candidates], dtype=bool)
    return np.where(there, np.cumsum(there) - 1, -1)


def ask_judge(run: Run, opened: OpenWave) -> list[Request]:
    """Requests about the candidates that no other filter drops."""
    if opened.rule.judge is None:
        return []
    return judge_requests(run, opened.wave.name, opened.parents, _judged(run, opened), opened.rule)


def _judged(run: Run, opened: OpenWave) -> list[Candidate]:
    assert opened.measures is not None
    before = [entry for entry in run.spec.curation.filters if entry.filter != JUDGE]
    fallen = fall_to_filters(opened.candidates, opened.measures, before)
    return [c for c, reason in zip(opened.candidates, fallen, strict=True) if reason is None]


def judged_rows(run: Run, opened: OpenWave) -> WaveRows:
    """The rows of a wave, a cohort's roots before its openings."""
    assert opened.measures is not None
    asides: list[Candidate] = []
    measures = opened.measures
    if opened.rule.judge is not None:
        judged = _judged(run, opened)
        asides = judgements(run, judged, opened.asides, opened.outcomes)
        measures = with_judgements(opened.candidates, measures, asides, opened.rule.judge)
    verdicts = curate(
        opened.candidates,
        measures,
        fanout=opened.rule.fanout,
        spec=run.spec.curation,
        texts=[visible_text(candidate, run.dialect) for candidate in opened.candidates],
    )
    nodes = list(map(Node, opened.candidates, verdicts))
    rows = np.arange(len(nodes))
    if opened.wave.level == 1:
        nodes, rows = _with_roots(run, opened, nodes)
    return WaveRows(nodes, measures.take(rows), [Node(aside, KEEP) for aside in asides])


def with_judgements(
    candidates: Sequence[Candidate],
    measures: Measures,
    asides: Sequence[Candidate],
    judge: JudgeSpec,
) -> Measures:
    """The measures with the judge's scores; NaN for a turn without a readable one."""
    scores = {aside.parent_id: read_score(aside.text, judge) for aside in asides}
    column = [scores.get(candidate.node_id, np.nan) for candidate in candidates]
    return measures.with_score(JUDGE, np.array(column, dtype=np.float32))


def _with_roots(
    run: Run, opened: OpenWave, nodes: list[Node]
) -> tuple[list[Node], npt.NDArray[np.intp]]:
    """Roots and openings in row order, and by row which candidate it is; -1 for a root."""
    roots = [Node(root_candidate(run, parent.tree_id), KEEP) for parent in opened.parents]
    both = [*roots, *nodes]
    order = sorted(
        range(len(both)), key=lambda i: (both[i].candidate.tree_id, both[i].candidate.path)
    )
    rows = np.maximum(np.array(order, dtype=np.intp) - len(roots), -1)
    return [both[i] for i in order], rows
