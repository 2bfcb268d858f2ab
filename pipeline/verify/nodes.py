"""Re-check a wave's candidates: their places, ids, prompts and texts."""

from collections import Counter
from collections.abc import Iterator, Sequence

from pipeline.judging import stand_ins
from pipeline.tree.frontier import Parent, prompt_of
from pipeline.tree.identity import node_id, prompt_hash
from pipeline.tree.recipe import LevelRule
from pipeline.tree.roots import root_candidate
from pipeline.tree.run import Run
from pipeline.verify.reach import Reach, text_defects
from schemas.records import KEEP, Candidate, Node, Verdict
from schemas.wave_id import WaveId


def place_defects(
    run: Run, wave: WaveId, parents: Sequence[Parent], nodes: Sequence[Node]
) -> Iterator[str]:
    """Every child that was asked for is there once, and nothing else but what is given."""
    rule = run.rule(wave.level)
    asked = rule.asked
    expected = {(p.tree_id, (*p.path, index)): p.node_id for p in parents for index in range(asked)}
    if wave.level == 1:
        expected |= {(p.tree_id, ()): "" for p in parents}
    expected |= {
        (c.tree_id, c.path): c.parent_id or "" for c in _stand_ins(run, rule, parents, nodes)
    }
    found = Counter((node.candidate.tree_id, node.candidate.path) for node in nodes)
    for place in sorted(expected.keys() - found.keys())[:5]:
        yield f"wave {wave.name}: no row for tree {place[0]}, path {list(place[1])}."
    for place in sorted(p for p, n in found.items() if n > 1 or p not in expected)[:5]:
        yield f"wave {wave.name}: a doubled or foreign row at tree {place[0]}, {list(place[1])}."
    for candidate, _ in nodes:
        parent_id = expected.get((candidate.tree_id, candidate.path))
        if candidate.level and parent_id is not None and candidate.parent_id != parent_id:
            yield f"node {candidate.node_id}: its parent is {candidate.parent_id}, not {parent_id}."


def _stand_ins(
    run: Run, rule: LevelRule, parents: Sequence[Parent], nodes: Sequence[Node]
) -> list[Candidate]:
    sampled = [node for node in nodes if node.candidate.origin != "given"]
    return stand_ins(run, rule, parents, sampled)


def node_defects(
    run: Run, wave: WaveId, parents: Sequence[Parent], nodes: Sequence[Node], reach: Reach
) -> Iterator[str]:
    """Every row has the id of its place, was asked from its ancestors, and says what its ids do."""
    rule = run.rule(wave.level)
    given = {p.node_id: root_candidate(run, p.root) for p in parents if not p.path}
    given |= {row.node_id: row for row in _stand_ins(run, rule, parents, nodes)}
    kept_ids = {candidate.node_id for candidate, verdict in nodes if verdict.kept}
    for candidate, verdict in nodes:
        name = f"node {candidate.node_id}"
        if candidate.node_id != node_id(run.run_id, candidate.tree_id, candidate.path):
            yield f"{name}: its id does not follow from its place."
        if candidate.origin == "given":
            yield from _given_defects(candidate, verdict, given.get(candidate.node_id))
            continue
        if verdict.keeper_id is not None and verdict.keeper_id not in kept_ids:
            yield f"{name}: its keeper {verdict.keeper_id} is not a kept node of the wave."
        yield from _turn_defects(run, candidate, rule, reach)
    yield from _prompt_defects(run, rule, parents, nodes, reach)


def _prompt_defects(
    run: Run, rule: LevelRule, parents: Sequence[Parent], nodes: Sequence[Node], reach: Reach
) -> Iterator[str]:
    """Each sampled turn was asked from what its ancestors give, where that can be spelled."""
    prompts = {parent.node_id: prompt_of(run, parent, rule) for parent in parents}
    hashes = {n: None if ids is None else prompt_hash(ids) for n, ids in prompts.items()}
    for candidate, _ in nodes:
        if candidate.origin != "sampled":
            continue
        expected = hashes.get(candidate.parent_id or "", "")
        reach.unproven["turns"] += expected is None
        if expected not in (None, candidate.prompt_hash):
            yield (
                f"node {candidate.node_id}: its prompt_hash is not that of the prompt its "
                "ancestors give."
            )


def _turn_defects(run: Run, candidate: Candidate, rule: LevelRule, reach: Reach) -> Iterator[str]:
    name = f"node {candidate.node_id}"
    groups = [rule.group, rule.critique.engine if rule.critique else rule.group]
    group = groups[candidate.origin == "rewritten"]
    if candidate.role != rule.role:
        yield f"{name}: role {candidate.role} at level {candidate.level}."
    if candidate.model_index != run.spec.model_index(group):
        yield f"{name}: model {candidate.model_index}, but its level is written by {group}."
        return
    yield from text_defects(run, name, candidate, reach)


def _given_defects(
    candidate: Candidate, verdict: Verdict, expected: Candidate | None
) -> Iterator[str]:
    """A root, or a reference that stands in, is what its tree grows from."""
    if expected is None:
        yield f"node {candidate.node_id}: is given, but nothing was to be given in its place."
        return
    same_ids = candidate.token_ids.tolist() == expected.token_ids.tolist()
    same = (candidate.role, candidate.text) == (expected.role, expected.text)
    if not same or not same_ids or verdict != KEEP:
        yield f"node {candidate.node_id}: is not the root of tree {candidate.tree_id}."
