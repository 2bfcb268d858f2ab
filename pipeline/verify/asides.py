"""Re-check the second pass: drafts, critiques and rewritten turns fit together."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from pipeline.flight import OpenWave
from pipeline.passes import passing
from pipeline.storage.shards import WaveRows
from pipeline.tree.aside import aside_place
from pipeline.tree.critique import critique_requests, rewrite_requests
from pipeline.tree.frontier import Parent
from pipeline.tree.identity import node_id, prompt_hash
from pipeline.tree.recipe import LevelRule
from pipeline.tree.run import Run
from pipeline.verify.reach import Reach, can_tell
from schemas.records import KEEP, Candidate, Kind, Node, Request, Verdict
from schemas.wave_id import WaveId

SAME_WAVE = ""
"""Requests that are only made to be compared go nowhere."""


class _Said(NamedTuple):
    """What was said about the turns of a wave, and the turns, by node."""

    first: Mapping[str, Candidate]
    """As they were before they were written again."""
    turns: Mapping[str, Candidate]
    asides: Sequence[Node]

    def of_kind(self, kind: Kind) -> dict[str, Node]:
        """By node, the last thing of a kind that was said about it."""
        return {n.candidate.parent_id or "": n for n in self.asides if n.candidate.kind == kind}

    def times(self, kind: Kind) -> Counter[str]:
        """By node, how many things of a kind were said about it."""
        rows = (row for row, _ in self.asides)
        return Counter(row.parent_id or "" for row in rows if row.kind == kind)


def passing_of(
    run: Run, wave: WaveId, parents: Sequence[Parent], rows: WaveRows
) -> list[Candidate]:
    """The sampled rows that no filter before the judge drops, by what is stored of them."""
    known = {parent.node_id for parent in parents}
    places = [
        i
        for i, (node, _) in enumerate(rows.nodes)
        if node.origin != "given" and node.parent_id in known
    ]
    rule = run.rule(wave.level)
    candidates = [rows.nodes[i].candidate for i in places]
    opened = OpenWave(wave, rule, list(parents), [], 0.0, candidates=candidates)
    opened.measures = rows.measures.take(np.array(places, dtype=np.intp))
    return passing(run, opened)


def critique_defects(
    run: Run,
    wave: WaveId,
    parents: Sequence[Parent],
    rows: WaveRows,
    reach: Reach,
    *,
    rejudge: bool,
) -> Iterator[str]:
    """Every rewritten turn has one draft and one critique, asked from the right conversations.

    Without `rejudge` it is taken as given which of the others had a critique.
    """
    rule = run.rule(wave.level)
    asides = [node for node in rows.asides if node.candidate.kind != "judge"]
    if rule.critique is None:
        for aside, _ in asides:
            yield f"{aside.kind} {aside.node_id}: nothing is written again in wave {wave.name}."
        return
    known = {parent.node_id for parent in parents}
    nodes = [c for c, _ in rows.nodes if c.origin != "given" and c.parent_id in known]
    turns = {node.node_id: node for node in nodes}
    for aside, _ in (node for node in asides if node.candidate.parent_id not in turns):
        yield f"{aside.kind} {aside.node_id}: is about no sampled turn of wave {wave.name}."
    asides = [node for node in asides if node.candidate.parent_id in turns]
    drafts = {c.parent_id or "": c for c, _ in asides if c.kind == "draft"}
    first = {name: _first(turn, drafts.get(name)) for name, turn in turns.items()}
    said = _Said(first, turns, asides)
    yield from _draft_defects(run, said)
    # A turn that is still its draft passed the filters, before its critique, as it does now.
    passed = passing_of(run, wave, parents, rows) if rejudge else None
    yield from _times_defects(said, None if passed is None else {c.node_id for c in passed})
    yield from _pass_defects(run, rule, parents, said, reach)


def _first(turn: Candidate, draft: Candidate | None) -> Candidate:
    """A turn as it was before it was written again."""
    if draft is None:
        return turn
    place = (turn.node_id, turn.parent_id, turn.path)
    return replace(draft, kind="turn", node_id=place[0], parent_id=place[1], path=place[2])


def _draft_defects(run: Run, said: _Said) -> Iterator[str]:
    drafts = said.times("draft")
    for name, turn in said.turns.items():
        if drafts[name] != (turn.origin == "rewritten"):
            yield (
                f"node {name}: a rewritten turn has one draft beside it, and only such a turn has "
                f"one; it is {turn.origin} and has {drafts[name]}."
            )
    for about, (draft, verdict) in said.of_kind("draft").items():
        if draft.node_id != aside_place(run, said.turns[about], "draft").node_id:
            yield f"draft {draft.node_id}: its id does not follow from its place."
        if verdict != KEEP:
            yield f"draft {draft.node_id}: its verdict is {in_words(verdict)}; it has none."


def _times_defects(said: _Said, passed: set[str] | None) -> Iterator[str]:
    """One critique of each turn that passed the filters, where that is known, and no other."""
    times = said.times("critique")
    for name, turn in said.turns.items():
        due = bool(times[name]) if passed is None else name in passed
        expected = int(due or turn.origin == "rewritten")
        if times[name] != expected:
            yield f"node {name}: has {times[name]} critiques, expected {expected}."


def _pass_defects(
    run: Run, rule: LevelRule, parents: Sequence[Parent], said: _Said, reach: Reach
) -> Iterator[str]:
    """Critiques and rewrites were asked from the conversations of their drafts."""
    critiques = said.of_kind("critique")
    asked = _critique_requests(run, rule, parents, [said.first[name] for name in critiques])
    reach.unproven["critiques"] += len(critiques) - len(asked)
    hashes = {request.parent_id: prompt_hash(request.prompt) for request in asked}
    for name, node in critiques.items():
        yield from one_defects(run, said.first[name], node, "critique", hashes.get(name))
    answers = [critiques[request.parent_id].candidate for request in asked]
    again = rewrite_requests(run, SAME_WAVE, said.first, asked, answers, rule)
    untold = critiques.keys() - hashes.keys()
    yield from _rewrite_defects(
        run, said, {r.parent_id: prompt_hash(r.prompt) for r in again}, untold, reach
    )


def _critique_requests(
    run: Run, rule: LevelRule, parents: Sequence[Parent], drafts: Sequence[Candidate]
) -> list[Request]:
    """For the drafts whose conversations can be told here."""
    assert rule.critique is not None
    group, by_id = rule.critique.engine, {parent.node_id: parent for parent in parents}
    told = [c for c in drafts if can_tell(run, by_id[c.parent_id or ""], c, group)]
    return critique_requests(run, SAME_WAVE, parents, told, rule)


def _rewrite_defects(
    run: Run, said: _Said, again: Mapping[str, str], untold: Set[str], reach: Reach
) -> Iterator[str]:
    """What was to be written again was so once, from the right prompt, in vain or not.

    `again` are the hashes of the prompts, `untold` the nodes for which these cannot be built.
    """
    in_vain = said.times("rewrite")
    for name, turn in said.turns.items():
        rewritten = turn.origin == "rewritten"
        times = rewritten + in_vain[name]
        if name in untold:
            reach.unproven["rewrites"] += times
        elif times != (name in again):
            yield (
                f"node {name}: was written again {times} times; what was said about it asks for "
                f"{int(name in again)}."
            )
        elif rewritten and turn.prompt_hash != again[name]:
            yield f"node {name}: its prompt_hash is not that of the request to write it again."
    for name, node in said.of_kind("rewrite").items():
        yield from one_defects(run, said.first[name], node, "rewrite", again.get(name))


def one_defects(
    run: Run, node: Candidate, aside: Node, kind: Kind, asked: str | None
) -> Iterator[str]:
    """What was said about a node stands below it, and was asked from its conversation.

    `asked` is the hash of the prompt, None where it cannot be built.
    """
    said, verdict = aside
    name = f"{said.kind} {said.node_id}"
    path = (*node.path, 0)
    place = (said.kind, said.tree_id, said.path, said.node_id)
    if place != (kind, node.tree_id, path, node_id(run.run_id, node.tree_id, path, kind)):
        yield f"{name}: its id does not follow from its place."
    if asked is not None and said.prompt_hash != asked:
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
