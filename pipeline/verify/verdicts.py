"""Re-check what was decided about a wave's rows: judgements and their scores, verdicts."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np

from pipeline.curate.filters.filter import score
from pipeline.judging import verdicts_of, with_judgements
from pipeline.storage.shards import WaveRows
from pipeline.tree.frontier import Parent
from pipeline.tree.identity import prompt_hash
from pipeline.tree.judge import judge_requests
from pipeline.tree.run import Run
from pipeline.verify.asides import critique_defects, in_words, one_defects, passing_of
from pipeline.verify.reach import Reach, can_tell
from schemas.measures import no_measures
from schemas.records import Candidate, Kind, Node
from schemas.wave_id import WaveId

JUDGE: Kind = "judge"


def verdict_defects(run: Run, wave: WaveId, rows: WaveRows) -> Iterator[str]:
    """Verdicts follow from the stored rows of the wave alone, so they can be found again."""
    places = [i for i, node in enumerate(rows.nodes) if node.candidate.origin != "given"]
    sampled = [rows.nodes[i] for i in places]
    rule = run.rule(wave.level)
    measures = rows.measures.take(np.array(places, dtype=np.intp))
    verdicts = verdicts_of(run, rule, [node.candidate for node in sampled], measures)
    for (candidate, stored), found in zip(sampled, verdicts, strict=True):
        if stored != found:
            yield (
                f"node {candidate.node_id}: its verdict is {in_words(stored)}; "
                f"the rows of wave {wave.name} give {in_words(found)}."
            )


def aside_defects(
    run: Run,
    wave: WaveId,
    parents: Sequence[Parent],
    rows: WaveRows,
    reach: Reach,
    *,
    rejudge: bool,
) -> Iterator[str]:
    """What was asked about a node was asked from its own conversation, once, where it had to be.

    Without `rejudge` it is taken as given who was judged, and with which score.
    """
    judged = [node for node in rows.asides if node.candidate.kind == JUDGE]
    expected = {c.node_id: c for c in _expected(run, wave, parents, rows, rejudge=rejudge)}
    yield from _judge_defects(run, wave, parents, judged, expected, reach)
    yield from critique_defects(run, wave, parents, rows, reach, rejudge=rejudge)
    if rejudge:
        yield from _score_defects(run, wave, rows)


def _judge_defects(
    run: Run,
    wave: WaveId,
    parents: Sequence[Parent],
    judged: Sequence[Node],
    expected: Mapping[str, Candidate],
    reach: Reach,
) -> Iterator[str]:
    """`expected` are the nodes that were to be judged."""
    hashes = _prompt_hashes(run, wave, parents, expected.values())
    for aside in judged:
        about = aside.candidate.parent_id or ""
        if about in expected:
            reach.unproven["judgements"] += about not in hashes
            yield from one_defects(run, expected[about], aside, JUDGE, hashes.get(about))
        else:
            name = f"{aside.candidate.kind} {aside.candidate.node_id}"
            yield f"{name}: is about {about}, which was not to be judged in wave {wave.name}."
    times = Counter(aside.candidate.parent_id for aside in judged)
    for about in expected:
        if times[about] != 1:
            yield f"node {about}: was to be judged once, there are {times[about]} judgements of it."


def _expected(
    run: Run, wave: WaveId, parents: Sequence[Parent], rows: WaveRows, *, rejudge: bool
) -> list[Candidate]:
    """The nodes that were to be judged."""
    rule = run.rule(wave.level)
    if rule.judge is None:
        return []
    if rejudge:
        return passing_of(run, wave, parents, rows)
    known = {parent.node_id for parent in parents}
    about = {c.parent_id for c, _ in rows.asides if c.kind == JUDGE}
    return [c for c, _ in rows.nodes if c.node_id in about and c.parent_id in known]


def _prompt_hashes(
    run: Run, wave: WaveId, parents: Sequence[Parent], judged: Iterable[Candidate]
) -> dict[str, str]:
    """By node, what its judgement was to be asked from; none where that cannot be told here."""
    judge = run.rule(wave.level).judge
    if judge is None:
        return {}
    by_id = {parent.node_id: parent for parent in parents}
    told = [c for c in judged if can_tell(run, by_id[c.parent_id or ""], c, judge.engine)]
    requests = judge_requests(run, wave.name, parents, told, judge)
    return {request.parent_id: prompt_hash(request.prompt) for request in requests}


def _score_defects(run: Run, wave: WaveId, rows: WaveRows) -> Iterator[str]:
    """A node has the score that was said about it, and else none."""
    judge = run.rule(wave.level).judge
    if judge is None:
        return
    nodes = [node for node, _ in rows.nodes]
    said = [aside for aside, _ in rows.asides if aside.kind == JUDGE]
    found = with_judgements(run, judge, nodes, no_measures(len(nodes)), said).column(JUDGE)
    stored = score(rows.measures, JUDGE)
    wrong = (stored != found) & ~(np.isnan(stored) & np.isnan(found))
    for row in np.flatnonzero(wrong).tolist():
        yield (
            f"node {nodes[row].node_id}: its score {JUDGE} is {stored[row]}; "
            f"what was said about it gives {found[row]}."
        )
