"""Some whole conversations, drawn at random, of a few cohorts drawn at random."""

import random
from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.report.repeats import Show
from pipeline.storage.reader import Roots, read_trees
from pipeline.storage.store import Store
from pipeline.tree.conversations import conversations, messages, said_between
from pipeline.tree.run import Run
from schemas.manifest import Snapshot
from schemas.node_table import from_table
from schemas.records import Candidate, Root

_COHORTS = 4
_NOT_SHOWN = ("token_logprobs", "scores")


@dataclass(frozen=True)
class Said:
    """One message."""

    role: str
    text: str


@dataclass(frozen=True)
class Dialogue:
    """One walk from a root to a leaf."""

    tree_id: int
    leaf_id: str
    source: str
    """Of the root: a topic, a file and row, or another run's node."""
    tokens: int
    """Sampled along it."""
    said: tuple[Said, ...]


@dataclass(frozen=True)
class Dialogues:
    """A draw of them."""

    seed: int
    cohorts: int
    """That they were drawn from."""
    of: int
    """Conversations in those."""
    drawn: tuple[Dialogue, ...]


def dialogues_of(
    store: Store, snapshot: Snapshot, run: Run, show: Show, *, size: int, seed: int
) -> Dialogues:
    """So many, each of the chosen cohorts' conversations as likely as any other."""
    draw = random.Random(seed)
    there = sorted({entry.wave.cohort for entry in snapshot.shards})
    chosen = set(draw.sample(there, min(_COHORTS, len(there))))
    shards = tuple(entry for entry in snapshot.shards if entry.wave.cohort in chosen)
    part, between = snapshot.model_copy(update={"shards": shards}), said_between(run)
    kept: list[tuple[float, Dialogue]] = []
    seen = 0
    for tables in read_trees(store, part, ("nodes", "roots"), without=_NOT_SHOWN):
        if "nodes" not in tables:
            continue
        roots = Roots(store, tables)
        for walk in conversations(node.candidate for node in from_table(tables["nodes"])):
            seen += 1
            key = draw.random()
            if len(kept) < size or key < kept[-1][0]:
                told = _told(roots[walk[0].tree_id], walk, between, show)
                kept = sorted([*kept, (key, told)], key=lambda pair: pair[0])[:size]
    return Dialogues(seed, len(chosen), seen, tuple(dialogue for _, dialogue in kept))


def _told(
    root: Root, walk: Sequence[Candidate], between: tuple[str | None, ...], show: Show
) -> Dialogue:
    leaf = walk[-1]
    said = messages(root, walk, between)
    return Dialogue(
        tree_id=leaf.tree_id,
        leaf_id=leaf.node_id,
        source=root.source,
        tokens=sum(len(node.token_ids) for node in walk if node.level),
        said=tuple(Said(role, show(role, text)) for role, text in said),
    )
