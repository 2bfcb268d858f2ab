"""Re-check the second pass: drafts, critiques and rewritten turns fit together."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from pipeline.storage.shards import WaveRows
from pipeline.tree.aside import aside_place
from pipeline.tree.critique import critique_requests, rewrite_requests
from pipeline.tree.frontier import Parent
from pipeline.tree.identity import node_id, prompt_hash
from pipeline.tree.recipe import LevelRule
from pipeline.tree.run import Run
from schemas.records import KEEP, Candidate, Node, Request, Verdict
from schemas.wave_id import WaveId

SAME_WAVE = ""
"""Requests that are only made to be compared go nowhere."""


def can_spell(run: Run, group: str) -> bool:
    """Whether what a group was asked about turns of other models can be rebuilt here."""
    return bool(run.spellers) or {run.tongue(g) for g in run.spec.groups} == {run.tongue(group)}


def critique_defects(
    run: Run, wave: WaveId, parents: Sequence[Parent], rows: WaveRows
) -> Iterator[str]:
    """Every rewritten turn has one draft and one critique, asked from the right conversations."""
    rule = run.recipe.rule(run.spec, wave.level)
    said = [node for node in rows.asides if node.candidate.kind != "judge"]
    if rule.critique is None:
        for aside, _ in said:
            yield f"{aside.kind} {aside.node_id}: nothing is written again in wave {wave.name}."
        return
    drafts = {n.candidate.parent_id: n.candidate for n in said if n.candidate.kind == "draft"}
    turns = {n.candidate.node_id: n.candidate for n in rows.nodes}
    yield from _draft_defects(run, drafts, turns)
    if can_spell(run, rule.critique.engine):
        first = {name: _first(run, turn, drafts.get(name)) for name, turn in turns.items()}
        yield from _pass_defects(run, parents, rule, first, turns, said)


def _first(run: Run, turn: Candidate, draft: Candidate | None) -> Candidate:
    """A turn as it was before it was written again."""
    if draft is None:
        return turn
    place = (turn.node_id, turn.parent_id, turn.path)
    return replace(draft, kind="turn", node_id=place[0], parent_id=place[1], path=place[2])


def _draft_defects(
    run: Run, drafts: Mapping[str | None, Candidate], turns: Mapping[str, Candidate]
) -> Iterator[str]:
    again = {name for name, turn in turns.items() if turn.origin == "rewritten"}
    for name in sorted(again ^ {about or "" for about in drafts}):
        yield f"node {name}: a rewritten turn has a draft beside it, and only such a turn has one."
    for about, draft in drafts.items():
        turn = turns.get(about or "")
        if turn is not None and draft.node_id != aside_place(run, turn, "draft").node_id:
            yield f"draft {draft.node_id}: its id does not follow from its place."


def _pass_defects(
    run: Run,
    parents: Sequence[Parent],
    rule: LevelRule,
    first: Mapping[str, Candidate],
    turns: Mapping[str, Candidate],
    said: Sequence[Node],
) -> Iterator[str]:
    critiques = [node for node in said if node.candidate.kind == "critique"]
    about = [
        first[n.candidate.parent_id or ""] for n in critiques if n.candidate.parent_id in first
    ]
    asked = critique_requests(run, SAME_WAVE, parents, about, rule)
    for node, request in zip(critiques, asked, strict=False):
        yield from one_defects(run, first[request.parent_id], node, request)
    answers = [node.candidate for node in critiques]
    again = rewrite_requests(run, SAME_WAVE, first, asked, answers, rule)
    hashes = {request.parent_id: prompt_hash(request.prompt) for request in again}
    for name, turn in turns.items():
        if turn.origin == "rewritten" and turn.prompt_hash != hashes.get(name):
            yield f"node {name}: its prompt_hash is not that of the request to write it again."
    times = Counter(node.candidate.parent_id for node in critiques)
    for name in sorted(name or "" for name, count in times.items() if count > 1):
        yield f"node {name}: has {times[name]} critiques, expected one."


def one_defects(run: Run, node: Candidate, aside: Node, asked: Request) -> Iterator[str]:
    """What was said about a node stands below it, and was asked from its conversation."""
    said, verdict = aside
    name = f"{said.kind} {said.node_id}"
    path = (*node.path, 0)
    own_id = node_id(run.run_id, node.tree_id, path, asked.kind)
    place = (said.kind, said.tree_id, said.path, said.node_id)
    if place != (asked.kind, node.tree_id, path, own_id):
        yield f"{name}: its id does not follow from its place."
    if said.prompt_hash != prompt_hash(asked.prompt):
        yield f"{name}: its prompt_hash is not that of the question about its node."
    expected = KEEP if said.failure is None else Verdict(f"failed:{said.failure}")
    if verdict != expected:
        yield f"{name}: its verdict is {in_words(verdict)}; it can only have failed."


def in_words(verdict: Verdict) -> str:
    """A verdict in a sentence."""
    keeper = f" of {verdict.keeper_id}" if verdict.keeper_id else ""
    similarity = "" if verdict.similarity is None else f", similarity {verdict.similarity}"
    rank = "" if verdict.mmr_rank is None else f", rank {verdict.mmr_rank}"
    return f"{verdict.drop_reason or 'kept'}{keeper}{similarity}{rank}"
