"""Conversations: the walks from root to leaf over the kept nodes of some whole trees, as readers
see them."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from pipeline.tree.run import Run
from schemas.records import Candidate, Ids, Message, Root, to_ids


def conversations(kept: Iterable[Candidate]) -> Iterator[list[Candidate]]:
    """Every path that ends with an answer below which no kept answer lies, in row order.

    A continuation of a text is an answer too. A question that got no kept answer is left off the
    end of its path. Each path begins with its root, which may have an empty text.
    """
    children: dict[str | None, list[Candidate]] = defaultdict(list)
    for node in sorted(kept, key=lambda node: (node.tree_id, node.path)):
        children[node.parent_id].append(node)
    for root in children[None]:
        yield from _walk([root], children)


def _walk(
    path: list[Candidate], children: dict[str | None, list[Candidate]]
) -> Iterator[list[Candidate]]:
    longer = [
        walk for child in children[path[-1].node_id] for walk in _walk([*path, child], children)
    ]
    if longer:
        yield from longer
    elif path[-1].level and path[-1].role != "user":
        yield path


def said_between(run: Run) -> tuple[str | None, ...]:
    """By level, from 1, what the run itself says before each of its turns."""
    return tuple(rule.say for rule in run.rules)


def messages(root: Root, path: Sequence[Candidate], between: Sequence[str | None]) -> list[Message]:
    """What is said along a path: the frame, then each turn after what the run says before it."""
    said = list(root.frame)
    for node in path:
        if node.level:
            said += [*introduced(node.level, between), Message(node.role, node.text)]
    return said


def introduced(level: int, between: Sequence[str | None]) -> list[Message]:
    """What the run itself says before a turn of a level."""
    say = between[level - 1]
    return [] if say is None else [Message("user", say)]


class Passage(NamedTuple):
    """A lead-in and all that goes on from it, down to a leaf."""

    text: str
    token_ids: Ids | None
    """What the model saw and sampled; None where models with different ids wrote by turns."""


def passage(run: Run, root: Root, path: Sequence[Candidate]) -> Passage:
    """The plain text along a path, from the id that begins it to the one that ended it."""
    turns = [node for node in path if node.level]
    text = "".join([*(message.text for message in root.frame), *(node.text for node in turns)])
    return Passage(text, _ids(run, root, turns))


def _ids(run: Run, root: Root, turns: Sequence[Candidate]) -> Ids | None:
    leaf, tongue = turns[-1], run.tongues[turns[-1].model_index]
    if any(run.tongues[node.model_index] != tongue for node in turns):
        return None
    opening = root.opening(leaf.level, tongue).ids
    end = to_ids([] if leaf.stop_id is None else [leaf.stop_id])
    ids: Ids = np.concatenate([opening, *(node.token_ids for node in turns), end])
    return ids
