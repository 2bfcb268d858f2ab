"""Conversations: the walks from root to leaf over the kept nodes of some whole trees."""

from collections import defaultdict
from collections.abc import Iterable, Iterator

from schemas.records import Candidate


def conversations(kept: Iterable[Candidate]) -> Iterator[list[Candidate]]:
    """Every path that ends with an answer below which no kept answer lies, in row order.

    A question that got no kept answer is left off the end of its path. Each path begins with its
    root, which may have an empty text.
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
    elif path[-1].role == "assistant":
        yield path
