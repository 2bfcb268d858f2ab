"""Which conversations of a tree become rows, and which of their turns are learned in which row.

A row is a path that ends with an answer. By default every turn is learned once: in the first row
that holds it, in order of tree and path, where a row comes before those that go on from it. All
draws belong to places in the tree, so that neither the order of rows nor what else is there has a
say in them.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import groupby
from typing import NamedTuple

from pipeline.tree.identity import unit_draw
from schemas.records import Candidate
from schemas.sft_spec import LineariseSpec, Loss

Path = Sequence[Candidate]
"""From the root down, the root included."""
LastOnly = Callable[[Candidate], bool]
"""Whether a turn can be learned only in a row that ends with it."""


class Row(NamedTuple):
    """One conversation."""

    path: Path
    learns: tuple[bool, ...]
    """By node of the path: whether it carries loss in this row."""


class Order(NamedTuple):
    """What is asked of all trees alike."""

    spec: LineariseSpec
    loss: Loss
    draws: str
    """What all draws depend on, beside the place that they are for."""
    last_only: LastOnly


def linearise(conversations: Iterable[Path], order: Order) -> Iterator[Row]:
    """The rows of conversations in order of tree and path, as `conversations` yields them.

    In memory are the conversations of one opening question.
    """
    for _, of_tree in groupby(conversations, key=lambda path: path[0].tree_id):
        learned: set[str] = set()
        for _, below in groupby(of_tree, key=_opening):
            for end in _chosen(_ends(below, order), order):
                yield _row(end, learned, order)


class _End(NamedTuple):
    """Where a row ends."""

    path: Path
    whole: bool
    """False where it is there for the sake of its last turn only."""


def _opening(path: Path) -> tuple[int, ...]:
    """The question that a conversation begins with: the first turn's, or the one it is given."""
    return path[0].path if path[0].role == "user" else path[1].path


def _ends(conversations: Iterable[Path], order: Order) -> list[_End]:
    """The different ends of the rows below one opening question, in order of path."""
    ends: dict[tuple[int, ...], _End] = {}
    for conversation in conversations:
        path = conversation[: _length(conversation, order)]
        ends[path[-1].path] = _End(path, whole=True)
        for depth, node in enumerate(path[:-1], start=1):
            if node.level and order.last_only(node):
                ends.setdefault(node.path, _End(path[:depth], whole=False))
    return [ends[place] for place in sorted(ends)]


def _length(path: Path, order: Order) -> int:
    """How many nodes of a path are left when it is cut after so many answers."""
    rounds = order.spec.turns
    if rounds is None:
        return len(path)
    if isinstance(rounds, tuple):
        rounds = rounds[int(_draw(order, path, "sft-turns") * len(rounds))]
    answers = [depth for depth, node in enumerate(path, start=1) if _answers(node)]
    return answers[rounds - 1] if rounds < len(answers) else len(path)


def _answers(node: Candidate) -> bool:
    return bool(node.level) and node.role != "user"


def _chosen(ends: list[_End], order: Order) -> list[_End]:
    """At most so many of one opening question, in order still."""
    most = order.spec.per_opening
    if most is None or len(ends) <= most:
        return ends
    ranks = [_draw(order, end.path, "sft-rows") for end in ends]
    return [ends[i] for i in sorted(sorted(range(len(ends)), key=ranks.__getitem__)[:most])]


def _draw(order: Order, path: Path, purpose: str) -> float:
    return unit_draw(order.draws, path[-1].tree_id, path[-1].path, purpose)


def _row(end: _End, learned: set[str], order: Order) -> Row:
    """A row, whose nodes join those that were learned."""
    once = order.spec.each == "node"
    learns = []
    for depth, node in enumerate(end.path, start=1):
        is_last = depth == len(end.path)
        fits = is_last or ((once or end.whole) and not order.last_only(node))
        learn = fits and _carries(node, order.loss) and not (once and node.node_id in learned)
        if learn:
            learned.add(node.node_id)
        learns.append(learn)
    return Row(end.path, tuple(learns))


def _carries(node: Candidate, loss: Loss) -> bool:
    if loss == "all":
        return True
    return bool(node.level) and (loss == "turns" or node.role != "user")
