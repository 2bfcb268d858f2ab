"""Re-check what was decided about a wave's rows: judgements and their scores, verdicts."""

from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np

from pipeline.curate.filters.filter import score
from pipeline.flight import OpenWave
from pipeline.judging import JUDGE, aside_verdict, ask_judge, verdicts_of, with_judgements
from pipeline.storage.shards import WaveRows
from pipeline.tree.frontier import Parent
from pipeline.tree.identity import node_id, prompt_hash
from pipeline.tree.judge import judge_requests
from pipeline.tree.run import Run
from schemas.measures import no_measures
from schemas.records import Candidate, Node, Request, Verdict
from schemas.wave_id import WaveId


def verdict_defects(run: Run, wave: WaveId, rows: WaveRows) -> Iterator[str]:
    """Verdicts follow from the stored rows of the wave alone, so they can be found again."""
    places = [i for i, node in enumerate(rows.nodes) if node.candidate.level]
    sampled = [rows.nodes[i] for i in places]
    rule = run.recipe.rule(run.spec, wave.level)
    measures = rows.measures.take(np.array(places, dtype=np.intp))
    verdicts = verdicts_of(run, rule, [node.candidate for node in sampled], measures)
    for (candidate, stored), found in zip(sampled, verdicts, strict=True):
        if stored != found:
            yield (
                f"node {candidate.node_id}: its verdict is {_in_words(stored)}; "
                f"the rows of wave {wave.name} give {_in_words(found)}."
            )


def _in_words(verdict: Verdict) -> str:
    keeper = f" of {verdict.keeper_id}" if verdict.keeper_id else ""
    similarity = "" if verdict.similarity is None else f", similarity {verdict.similarity}"
    rank = "" if verdict.mmr_rank is None else f", rank {verdict.mmr_rank}"
    return f"{verdict.drop_reason or 'kept'}{keeper}{similarity}{rank}"


def aside_defects(
    run: Run, wave: WaveId, parents: Sequence[Parent], rows: WaveRows, *, rejudge: bool
) -> Iterator[str]:
    """What was asked about a node was asked from its own conversation, once, where it had to be.

    Without `rejudge` it is taken as given who was judged, and with which score.
    """
    asked = _asked(run, wave, parents, rows, rejudge=rejudge)
    nodes = {node.node_id: node for node, _ in rows.nodes}
    for aside in rows.asides:
        about = aside.candidate.parent_id or ""
        if about in asked:
            yield from _one_defects(run, nodes[about], aside, asked[about])
        else:
            name = f"{aside.candidate.kind} {aside.candidate.node_id}"
            yield f"{name}: is about {about}, which was not to be judged in wave {wave.name}."
    times = Counter(aside.candidate.parent_id for aside in rows.asides)
    for about in asked:
        if times[about] != 1:
            yield f"node {about}: was to be judged once, there are {times[about]} judgements of it."
    if rejudge:
        yield from _score_defects(run, wave, rows)


def _asked(
    run: Run, wave: WaveId, parents: Sequence[Parent], rows: WaveRows, *, rejudge: bool
) -> dict[str, Request]:
    """By node, the request for its judgement."""
    rule = run.recipe.rule(run.spec, wave.level)
    if rule.judge is None:
        return {}
    known = {parent.node_id for parent in parents}
    places = [i for i, (node, _) in enumerate(rows.nodes) if node.level and node.parent_id in known]
    candidates = [rows.nodes[i].candidate for i in places]
    if rejudge:
        opened = OpenWave(wave, rule, list(parents), [], 0.0, candidates=candidates)
        opened.measures = rows.measures.take(np.array(places, dtype=np.intp))
        requests = ask_judge(run, opened)
    else:
        about = {aside.candidate.parent_id for aside in rows.asides}
        judged = [node for node in candidates if node.node_id in about]
        requests = judge_requests(run, wave.name, parents, judged, rule)
    return {request.parent_id: request for request in requests}


def _one_defects(run: Run, node: Candidate, aside: Node, asked: Request) -> Iterator[str]:
    said, verdict = aside
    name = f"{said.kind} {said.node_id}"
    path = (*node.path, 0)
    own_id = node_id(run.run_id, node.tree_id, path, "judge")
    if (said.kind, said.tree_id, said.path, said.node_id) != ("judge", node.tree_id, path, own_id):
        yield f"{name}: its id does not follow from its place."
    if said.prompt_hash != prompt_hash(asked.prompt):
        yield f"{name}: its prompt_hash is not that of the question about its node."
    if verdict != aside_verdict(said):
        yield f"{name}: its verdict is {_in_words(verdict)}; a judgement can only have failed."


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
