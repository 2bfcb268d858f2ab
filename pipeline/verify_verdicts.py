"""Re-check what was decided about a wave's rows: judgements, scores, verdicts."""

from collections.abc import Iterator, Sequence

import numpy as np

from pipeline.curate.curate import curate
from pipeline.storage.shards import WaveRows
from pipeline.tree.frontier import Parent
from pipeline.tree.identity import node_id, prompt_hash
from pipeline.tree.judge import judge_prompt, read_score
from pipeline.tree.prompt import visible_text
from pipeline.tree.run import Run
from schemas.curation_spec import JudgeSpec
from schemas.records import Candidate, Verdict
from schemas.wave_id import WaveId


def verdict_defects(run: Run, wave: WaveId, rows: WaveRows) -> Iterator[str]:
    """Verdicts follow from the stored rows of the wave alone, so they can be found again."""
    places = [i for i, node in enumerate(rows.nodes) if node.candidate.level]
    sampled = [rows.nodes[i] for i in places]
    verdicts = curate(
        [node.candidate for node in sampled],
        rows.measures.take(np.array(places, dtype=np.intp)),
        fanout=run.recipe.rule(run.spec, wave.level).fanout,
        spec=run.spec.curation,
        texts=[visible_text(node.candidate, run.dialect) for node in sampled],
    )
    for (candidate, stored), found in zip(sampled, verdicts, strict=True):
        if (stored.drop_reason, stored.keeper_id) != (found.drop_reason, found.keeper_id):
            yield (
                f"node {candidate.node_id}: its verdict is {_in_words(stored)}; "
                f"the rows of wave {wave.name} give {_in_words(found)}."
            )


def _in_words(verdict: Verdict) -> str:
    keeper = f" of {verdict.keeper_id}" if verdict.keeper_id else ""
    return f"{verdict.drop_reason or 'kept'}{keeper}"


def aside_defects(
    run: Run, wave: WaveId, parents: Sequence[Parent], rows: WaveRows
) -> Iterator[str]:
    """What was asked about a node was asked from its own conversation, and gave its score."""
    judge = run.recipe.rule(run.spec, wave.level).judge
    by_id = {node.candidate.node_id: i for i, node in enumerate(rows.nodes)}
    above = {parent.node_id: parent for parent in parents}
    for aside, _ in rows.asides:
        name = f"{aside.kind} {aside.node_id}"
        row = by_id.get(aside.parent_id or "")
        if row is None or judge is None:
            yield f"{name}: is about {aside.parent_id}, which was not judged in wave {wave.name}."
            continue
        node = rows.nodes[row].candidate
        if aside.node_id != node_id(run.run_id, node.tree_id, (*node.path, 0), "judge"):
            yield f"{name}: its id does not follow from its place."
        parent = above.get(node.parent_id or "")
        if parent is not None and aside.prompt_hash != _asked(run, parent, node, judge):
            yield f"{name}: its prompt_hash is not that of the question about its node."
        stored = rows.measures.column("judge")[row] if "judge" in rows.measures.names else np.nan
        if not np.array_equal(stored, np.float32(read_score(aside.text, judge)), equal_nan=True):
            yield f"{name}: its text gives another score than the {stored} of its node."


def _asked(run: Run, parent: Parent, node: Candidate, judge: JudgeSpec) -> str:
    return prompt_hash(judge_prompt(run, parent, node, judge))
