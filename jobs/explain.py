"""`arborist explain`: the story of one node, kept or dropped: why, and beside whom."""

import argparse
import json
from collections import Counter

from jobs.explain_text import as_text
from jobs.explain_words import Explained, in_words
from jobs.places import add_place, run_at
from jobs.recipes import check_recipe
from jobs.wiring import open_run_value
from pipeline.report.lookup import (
    Found,
    Manifests,
    ancestors,
    children_of,
    find_node,
    left_out_later,
    root_of,
    rows_of_wave,
)
from pipeline.report.story import Story, Surroundings, tell, turn_row
from pipeline.storage.ledger import Ledger
from pipeline.storage.runs import open_run
from pipeline.storage.store import Store
from schemas.records import Candidate, Node


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command line."""
    add_place(parser)
    parser.add_argument("node_id", help="a node's id, or how it begins")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> int:
    """Print the story. It needs committed waves only, so a growing run will do."""
    store = run_at(args)
    run_file = open_run(store)
    check_recipe(run_file)
    manifests = Ledger(store).all()
    story = read_story(store, manifests, find_node(store, manifests, args.node_id))
    explained = Explained(story, open_run_value(run_file))
    print(
        json.dumps(as_json(store.location, explained), indent=1)
        if args.json
        else as_text(store.location, explained)
    )
    return 0


def read_story(store: Store, manifests: Manifests, found: Found) -> Story:
    """Everything that belongs to a node, read and put together."""
    rows = rows_of_wave(store, manifests[found.wave.name])
    turn = rows.nodes[turn_row(rows, found.node_id)]
    around = Surroundings(
        above=ancestors(store, manifests, turn.candidate, found.wave),
        root=root_of(store, manifests, turn.candidate.tree_id, found.wave),
        children=children_of(store, manifests, turn, found.wave),
        later=left_out_later(store, found.node_id),
    )
    return tell(found.wave.name, rows, found.node_id, around)


def as_json(location: str, explained: Explained) -> dict[str, object]:
    """All of it."""
    story, verdict = explained.story, explained.story.verdict
    return {
        "location": location,
        "wave": story.wave,
        "node": _sampled(explained),
        "root": _root(story),
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
        "beside": [_beside(aside) for aside in story.beside],
        "siblings": [_sibling(sibling) for sibling in story.siblings],
        "children": {
            "asked": sum(not child.given for child in story.children),
            "kept": sum(child.drop_reason is None and not child.given for child in story.children),
            "dropped": dict(Counter(c.drop_reason for c in story.children if c.drop_reason)),
            "given": sum(child.given for child in story.children),
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


def _root(story: Story) -> dict[str, object]:
    root = story.root
    return {
        "source": root.source,
        "frame": [{"role": role, "text": text} for role, text in root.frame],
        "reference": root.reference,
    }


def _beside(aside: Node) -> dict[str, object]:
    said, verdict = aside
    return {
        "node_id": said.node_id,
        "kind": said.kind,
        "text": said.text,
        "kept": verdict.kept,
        "reason": verdict.drop_reason,
    }


def _sampled(explained: Explained) -> dict[str, object]:
    story = explained.story
    node = story.node
    return {
        **_said(node),
        "kind": node.kind,
        "level": story.turn.level,
        "origin": node.origin,
        "model_index": node.model_index,
        "model": explained.model,
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
