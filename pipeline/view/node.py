"""The full story of a node, and the conversation that it ends."""

from collections import Counter
from typing import Any

from pipeline.curate.evidence import evidence
from pipeline.report.lookup import (
    Found,
    ancestors,
    children_of,
    left_out_later,
    root_of,
    rows_of_wave,
)
from pipeline.report.story import Story, Surroundings, tell, turn_row
from pipeline.view.keeper import wave_of
from pipeline.view.prompt import pieces_of, prompt
from pipeline.view.query import Query
from pipeline.view.run import ViewedRun
from pipeline.view.shared import shared_parts
from schemas.errors import UserError
from schemas.records import Candidate, Node
from schemas.wave_id import WaveId

_SIBLINGS = 200
_SHORT = 240


def node(viewed: ViewedRun, query: Query) -> dict[str, Any]:
    """All that is known about a node; its wave is looked for where the address lacks it."""
    return as_json(viewed, _story(viewed, query))


def _story(viewed: ViewedRun, query: Query) -> Story:
    manifests, store = viewed.manifests(), viewed.store
    found = _found(viewed, query)
    manifest = manifests.get(found.wave.name)
    if manifest is None:
        raise UserError(f"wave {found.wave.name[:60]}: is not committed, or no wave of this run.")
    rows = rows_of_wave(store, manifest)
    if all(found.node_id != node.candidate.node_id for node in (*rows.nodes, *rows.asides)):
        raise UserError(f"node {found.node_id[:40]}: is not in wave {found.wave.name}.")
    turn = rows.nodes[turn_row(rows, found.node_id)]
    around = Surroundings(
        above=ancestors(store, manifests, turn.candidate, found.wave),
        root=root_of(store, manifests, turn.candidate.tree_id, found.wave),
        children=children_of(store, manifests, turn, found.wave),
        later=left_out_later(store, found.node_id),
    )
    return tell(found.wave.name, rows, found.node_id, around)


def _found(viewed: ViewedRun, query: Query) -> Found:
    node_id = query.text("node")
    wave = query.text("wave", "") or wave_of(viewed, node_id)
    if wave not in viewed.index().shards:
        raise UserError(f"wave {wave[:60]}: is not committed, or no wave of this run.")
    return Found(node_id, WaveId.parse(wave))


def as_json(viewed: ViewedRun, story: Story) -> dict[str, Any]:
    """All of it, for the page."""
    said, words = story.node, viewed.at_hand.words
    return {
        "wave": story.wave,
        "cohort": WaveId.parse(story.wave).cohort,
        "node": _turn(said, story.wave) | _sampled(viewed, story),
        "pieces": pieces_of(viewed, said),
        "source": story.root.source,
        "frame": [{"role": role, "text": text} for role, text in story.root.frame],
        "path": [_turn(turn, _wave_of(story, turn)) for turn in story.path[1:]],
        "prompt": prompt(viewed, story),
        "verdict": _verdict(story) | {"words": words(story) if words else None},
        "evidence": _evidence(viewed, story),
        "scores": story.scores,
        "keeper": _keeper(story),
        "siblings": [_sibling(other, story.wave) for other in story.siblings[:_SIBLINGS]],
        "num_siblings": len(story.siblings),
        "children": {
            "kept": sum(child.drop_reason is None for child in story.children),
            "dropped": dict(Counter(c.drop_reason for c in story.children if c.drop_reason)),
        },
        "beside": [_beside(aside) for aside in story.beside],
        "later": None if story.later is None else story.later._asdict(),
        "about": None if story.turn is said else story.turn.node_id,
    }


def _wave_of(story: Story, turn: Candidate) -> str:
    """A turn of the path lies in the wave of its level."""
    level = turn.level if turn.kind == "turn" else story.turn.level
    return WaveId(WaveId.parse(story.wave).path[:level]).name


def _turn(turn: Candidate, wave: str) -> dict[str, Any]:
    return {
        "node_id": turn.node_id,
        "parent_id": turn.parent_id,
        "tree_id": turn.tree_id,
        "path": list(turn.path),
        "role": turn.role,
        "kind": turn.kind,
        "origin": turn.origin,
        "text": turn.text,
        "wave": wave,
    }


def _sampled(viewed: ViewedRun, story: Story) -> dict[str, Any]:
    said, spec = story.node, viewed.run_file.generation
    names = [spec.model.name, *(spec.models[group].name for group in sorted(spec.models))]
    return {
        "level": story.turn.level,
        "model": None if said.origin == "given" else names[said.model_index],
        "num_tokens": len(said.token_ids),
        "reasoning_tokens": said.reasoning_tokens,
        "finish_reason": said.finish_reason,
        "stop_id": said.stop_id,
        "mean_logprob": story.mean_logprob,
        "prompt_hash": said.prompt_hash,
    }


def _verdict(story: Story) -> dict[str, Any]:
    verdict = story.verdict
    return {
        "kept": verdict.kept,
        "reason": verdict.drop_reason,
        "keeper_id": verdict.keeper_id,
        "similarity": verdict.similarity,
        "mmr_rank": verdict.mmr_rank,
    }


def _evidence(viewed: ViewedRun, story: Story) -> list[dict[str, Any]]:
    """The comparisons that speak against it, whichever filter makes them."""
    return [
        {"filter": entry.filter, **told._asdict()}
        for entry in viewed.run_file.generation.curation.filters
        if story.node.role in entry.roles
        for told in evidence(entry, story.scores)
    ]


def _keeper(story: Story) -> dict[str, Any] | None:
    if story.keeper is None:
        return None
    ours, theirs = shared_parts(story.node.text, story.keeper.text)
    return _turn(story.keeper, story.wave) | {"parts": [ours, theirs]}


def _sibling(sibling: Node, wave: str) -> dict[str, Any]:
    said, verdict = sibling
    return {
        "node_id": said.node_id,
        "path": list(said.path),
        "text": said.text[:_SHORT],
        "drop_reason": verdict.drop_reason,
        "similarity": verdict.similarity,
        "mmr_rank": verdict.mmr_rank,
        "wave": wave,
    }


def _beside(aside: Node) -> dict[str, Any]:
    said, verdict = aside
    return {
        "node_id": said.node_id,
        "kind": said.kind,
        "text": said.text,
        "drop_reason": verdict.drop_reason,
    }
