"""From measured candidates to the rows of a wave: who is judged, and what becomes of each."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from pipeline.curate.curate import curate, fall_to_filters
from pipeline.flight import OpenWave
from pipeline.storage.shards import WaveRows
from pipeline.tree.frontier import root_candidate
from pipeline.tree.judge import judge_requests, judgements, read_score
from pipeline.tree.prompt import visible_text
from pipeline.tree.recipe import LevelRule
from pipeline.tree.run import Run
from schemas.measures import Measures
from schemas.records import KEEP, Candidate, Node, Request, Verdict

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
        measures = with_judgements(run, opened.candidates, measures, asides)
    verdicts = verdicts_of(run, opened.rule, opened.candidates, measures)
    nodes = list(map(Node, opened.candidates, verdicts))
    rows = np.arange(len(nodes))
    if opened.wave.level == 1:
        nodes, rows = _with_roots(run, opened, nodes)
    return WaveRows(
        nodes, measures.take(rows), [Node(aside, aside_verdict(aside)) for aside in asides]
    )


def verdicts_of(
    run: Run, rule: LevelRule, candidates: Sequence[Candidate], measures: Measures
) -> list[Verdict]:
    """One verdict for each candidate of a wave, in row order."""
    return curate(
        candidates,
        measures,
        fanout=rule.fanout,
        spec=run.spec.curation,
        texts=[visible_text(candidate, run.dialect) for candidate in candidates],
    )


def aside_verdict(aside: Candidate) -> Verdict:
    """An aside is kept, unless nothing came back."""
    return KEEP if aside.failure is None else Verdict(f"failed:{aside.failure}")


def count_asides(asides: Sequence[Node]) -> dict[str, int]:
    """What was asked about candidates, by kind; failures apart, as `judge failed`."""
    kinds = (aside.kind if verdict.kept else f"{aside.kind} failed" for aside, verdict in asides)
    return dict(sorted(Counter(kinds).items()))


def with_judgements(
    run: Run, candidates: Sequence[Candidate], measures: Measures, asides: Sequence[Candidate]
) -> Measures:
    """The measures with the judge's scores; NaN for a turn without a readable one."""
    judge = run.spec.curation.judge
    assert judge is not None
    scores = {
        aside.parent_id: read_score(visible_text(aside, run.dialect), judge) for aside in asides
    }
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
