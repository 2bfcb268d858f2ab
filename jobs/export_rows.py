"""Exported rows: what readers see of conversations and texts, personal data masked as asked."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from pipeline.curate.personal import mask
from pipeline.sft.rows.linearise import Order, linearise
from pipeline.sft.rows.linearise import Row as Walk
from pipeline.storage.reader import Roots, read_trees
from pipeline.storage.store import Store
from pipeline.tree.conversations import (
    conversations,
    introduced,
    messages,
    passage,
    said_between,
)
from pipeline.tree.run import Run
from schemas.manifest import Snapshot
from schemas.node_table import from_table
from schemas.records import Candidate, Message, Role, Root
from schemas.sft_spec import LineariseSpec

Row = dict[str, Any]
NOT_SHOWN = ("token_logprobs", "scores")


def order_of(spec: LineariseSpec, draws: str) -> Order:
    """How conversations become rows of messages, of which the answers are learned."""
    return Order(spec, "answers", draws, last_only=lambda node: False)


WHOLE = order_of(LineariseSpec(), "")
"""All of them, down to their leaves."""


def walks(store: Store, snapshot: Snapshot, order: Order = WHOLE) -> Iterator[tuple[Root, Walk]]:
    """The rows of the kept conversations, each below its root."""
    for tables in read_trees(store, snapshot, ("nodes", "roots"), without=NOT_SHOWN):
        roots = Roots(store, tables)
        if "nodes" in tables:
            kept = (node.candidate for node in from_table(tables["nodes"]))
            for walk in linearise(conversations(kept), order):
                yield roots[walk.path[-1].tree_id], walk


@dataclass(frozen=True)
class View:
    """How a run's rows are shown."""

    run: Run
    between: tuple[str | None, ...]
    """By level, what the run itself says before each turn."""

    @classmethod
    def of(cls, run: Run) -> "View":
        """That of a run."""
        return cls(run, said_between(run))

    def text(self, role: Role, text: str) -> str:
        """A text, with personal data masked where the spec says so for its role."""
        return mask(text) if role in self.run.masked else text

    def messages(self, said: Iterable[Message]) -> list[Row]:
        """Messages as chat templates take them."""
        return [{"role": role, "content": self.text(role, text)} for role, text in said]


def message_row(view: View, root: Root, walk: Walk) -> Row:
    """A conversation, and which of its messages are learned in this row."""
    said = messages(root, walk.path, view.between)
    learned = [False] * len(root.frame)
    for node, learns in zip(walk.path, walk.learns, strict=True):
        if node.level:
            learned += [*(False for _ in introduced(node.level, view.between)), learns]
    return {**_leaf(root, walk.path), "messages": view.messages(said), "learned": learned}


def text_row(view: View, root: Root, walk: Walk) -> Row:
    """A text with its ids, which are left out where the text was masked."""
    path = walk.path
    found = passage(view.run, root, path)
    text = view.text("text", found.text)
    return {
        **_leaf(root, path),
        "text": text,
        "token_ids": found.token_ids if text == found.text else None,
    }


def _leaf(root: Root, path: Sequence[Candidate]) -> Row:
    leaf = path[-1]
    return {
        "tree_id": leaf.tree_id,
        "leaf_id": leaf.node_id,
        "source": root.source,
        "origin": leaf.origin,
    }


def in_tables(rows: Iterable[Row], schema: pa.Schema, *, size: int = 2_000) -> Iterator[pa.Table]:
    """Rows, so many at a time."""
    block: list[Row] = []
    for row in rows:
        block.append(row)
        if len(block) == size:
            yield pa.Table.from_pylist(block, schema=schema)
            block = []
    yield pa.Table.from_pylist(block, schema=schema)
