"""`arborist explain`: the story of one node, kept or dropped: why, and beside whom."""

import argparse
import json
from collections import Counter

from jobs.explain_text import Explained, as_text, in_words
from pipeline.recipes import RECIPES
from pipeline.report.lookup import (
    Found,
    Manifests,
    ancestors,
    children_of,
    find_node,
    left_out_later,
    rows_of_wave,
)
from pipeline.report.story import Story, Surroundings, tell
from pipeline.storage.ledger import Ledger
from pipeline.storage.open import find_run
from pipeline.storage.runs import open_run
from pipeline.storage.store import Store
from schemas.generation_spec import GenerationSpec
from schemas.records import Candidate, Node


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command line."""
    parser.add_argument("uri", help="a run's folder, or the folder with the one run in it")
    parser.add_argument("node_id", help="a node's id, or how it begins")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> int:
    """Print the story. It needs committed waves only, so a growing run will do."""
    store = find_run(args.uri)
    generation = open_run(store).generation
    manifests = Ledger(store).all()
    story = read_story(store, manifests, find_node(store, manifests, args.node_id))
    explained = Explained(story, generation.curation, _fanout(generation, story.node.level))
    print(
        json.dumps(as_json(store.location, explained), indent=1)
        if args.json
        else as_text(store.location, explained)
    )
    return 0


def read_story(store: Store, manifests: Manifests, found: Found) -> Story:
    """Everything that belongs to a node, read and put together."""
    rows = rows_of_wave(store, manifests[found.wave.name])
    row = [node.candidate.node_id for node in rows.nodes].index(found.node_id)
    node = rows.nodes[row]
    around = Surroundings(
        above=ancestors(store, manifests, node.candidate, found.wave),
        children=children_of(store, manifests, node, found.wave),
        later=left_out_later(store, found.node_id),
    )
    return tell(found.wave.name, rows, row, around)


def _fanout(generation: GenerationSpec, level: int) -> int:
    """Of a root there is one."""
    return RECIPES[generation.recipe].rule(generation, level).fanout if level else 1


def as_json(location: str, explained: Explained) -> dict[str, object]:
    """All of it."""
    story, verdict = explained.story, explained.story.verdict
    return {
        "location": location,
        "wave": story.wave,
        "node": _sampled(story),
        "path": [_said(turn) for turn in story.path],
        "verdict": {
            "kept": verdict.kept,
            "reason": verdict.drop_reason,
            "in_words": in_words(explained),
            "keeper_id": verdict.keeper_id,
            "similarity": verdict.similarity,
            "mmr_rank": verdict.mmr_rank,
        },
        "evidence": [comparison._asdict() for comparison in explained.evidence],
        "scores": story.scores,
        "keeper": None if story.keeper is None else _said(story.keeper),
        "judgements": [_said(judgement) for judgement in story.judgements],
        "siblings": [_sibling(sibling) for sibling in story.siblings],
        "children": {
            "asked": len(story.children),
            "kept": story.children.count(None),
            "dropped": dict(Counter(reason for reason in story.children if reason)),
        },
        "left_out_later": None if story.later is None else story.later._asdict(),
    }


def _said(turn: Candidate) -> dict[str, object]:
    return {
        "node_id": turn.node_id,
        "tree_id": turn.tree_id,
        "path": list(turn.path),
        "role": turn.role,
        "text": turn.text,
    }


def _sampled(story: Story) -> dict[str, object]:
    node = story.node
    return {
        **_said(node),
        "level": node.level,
        "origin": node.origin,
        "model_index": node.model_index,
        "num_tokens": len(node.token_ids),
        "reasoning_tokens": node.reasoning_tokens,
        "finish_reason": node.finish_reason,
        "mean_logprob": story.mean_logprob,
    }


def _sibling(sibling: Node) -> dict[str, object]:
    verdict = sibling.verdict
    return {
        **_said(sibling.candidate),
        "kept": verdict.kept,
        "reason": verdict.drop_reason,
        "keeper_id": verdict.keeper_id,
        "similarity": verdict.similarity,
        "mmr_rank": verdict.mmr_rank,
    }
