"""Re-check what was decided about a wave's rows: judgements and their scores, verdicts."""

from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np

from pipeline.curate.filters.filter import score
from pipeline.flight import OpenWave
from pipeline.judging import verdicts_of, with_judgements
from pipeline.passes import next_requests
from pipeline.storage.shards import WaveRows
from pipeline.tree.frontier import Parent
from pipeline.tree.judge import judge_requests
from pipeline.tree.run import Run
from pipeline.verify_asides import can_spell, critique_defects, in_words, one_defects
from schemas.measures import no_measures
from schemas.records import Kind, Node, Request
from schemas.wave_id import WaveId

JUDGE: Kind = "judge"


def verdict_defects(run: Run, wave: WaveId, rows: WaveRows) -> Iterator[str]:
    """Verdicts follow from the stored rows of the wave alone, so they can be found again."""
    places = [i for i, node in enumerate(rows.nodes) if node.candidate.origin != "given"]
    sampled = [rows.nodes[i] for i in places]
    rule = run.recipe.rule(run.spec, wave.level)
    measures = rows.measures.take(np.array(places, dtype=np.intp))
    verdicts = verdicts_of(run, rule, [node.candidate for node in sampled], measures)
    for (candidate, stored), found in zip(sampled, verdicts, strict=True):
        if stored != found:
            yield (
                f"node {candidate.node_id}: its verdict is {in_words(stored)}; "
                f"the rows of wave {wave.name} give {in_words(found)}."
            )


def aside_defects(
    run: Run, wave: WaveId, parents: Sequence[Parent], rows: WaveRows, *, rejudge: bool
) -> Iterator[str]:
    """What was asked about a node was asked from its own conversation, once, where it had to be.

    Without `rejudge` it is taken as given who was judged, and with which score.
    """
    judged = [node for node in rows.asides if node.candidate.kind == JUDGE]
    yield from _judge_defects(run, wave, parents, rows, judged, rejudge=rejudge)
    yield from critique_defects(run, wave, parents, rows)
    if rejudge:
        yield from _score_defects(run, wave, rows)


def _judge_defects(
    run: Run,
    wave: WaveId,
    parents: Sequence[Parent],
    rows: WaveRows,
    judged: Sequence[Node],
    *,
    rejudge: bool,
) -> Iterator[str]:
    asked = _asked(run, wave, parents, rows, rejudge=rejudge)
    nodes = {node.node_id: node for node, _ in rows.nodes}
    for aside in judged:
        about = aside.candidate.parent_id or ""
        if about in asked:
            yield from one_defects(run, nodes[about], aside, asked[about])
        else:
            name = f"{aside.candidate.kind} {aside.candidate.node_id}"
            yield f"{name}: is about {about}, which was not to be judged in wave {wave.name}."
    times = Counter(aside.candidate.parent_id for aside in judged)
    for about in asked:
        if times[about] != 1:
            yield f"node {about}: was to be judged once, there are {times[about]} judgements of it."


def _asked(
    run: Run, wave: WaveId, parents: Sequence[Parent], rows: WaveRows, *, rejudge: bool
) -> dict[str, Request]:
    """By node, the request for its judgement; none where it cannot be spelled here."""
    rule = run.recipe.rule(run.spec, wave.level)
    if rule.judge is None or not can_spell(run, rule.judge.engine):
        return {}
    known = {parent.node_id for parent in parents}
    places = [
        i
        for i, (node, _) in enumerate(rows.nodes)
        if node.origin != "given" and node.parent_id in known
    ]
    candidates = [rows.nodes[i].candidate for i in places]
    opened = OpenWave(wave, rule, list(parents), [], 0.0, candidates=candidates)
    if rejudge:
        opened.measures = rows.measures.take(np.array(places, dtype=np.intp))
        requests = next_requests(run, opened, JUDGE)
    else:
        about = {
            aside.candidate.parent_id for aside in rows.asides if aside.candidate.kind == JUDGE
        }
        judged = [node for node in candidates if node.node_id in about]
        requests = judge_requests(run, wave.name, parents, judged, rule.judge)
    return {request.parent_id: request for request in requests}


def _score_defects(run: Run, wave: WaveId, rows: WaveRows) -> Iterator[str]:
    """A node has the score that was said about it, and else none."""
    if run.recipe.rule(run.spec, wave.level).judge is None:
        return
    nodes = [node for node, _ in rows.nodes]
    said = [aside for aside, _ in rows.asides]
    found = with_judgements(run, nodes, no_measures(len(nodes)), said).column(JUDGE)
    stored = score(rows.measures, JUDGE)
    wrong = (stored != found) & ~(np.isnan(stored) & np.isnan(found))
    for row in np.flatnonzero(wrong).tolist():
        yield (
            f"node {nodes[row].node_id}: its score {JUDGE} is {stored[row]}; "
            f"what was said about it gives {found[row]}."
        )
