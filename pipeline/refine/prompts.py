"""Prompts: what the trees answer that grow from a user's message.

Such a tree's row of level 0 holds its frame's last message alone. That does not tell prompts apart:
"Why?" is another question after other messages, or under another system prompt. So the prompt is
the whole frame, which lies in the root table, and is the same in all models' ids.
"""

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.curate.whole_run.grove import Prompts
from pipeline.storage.shards import read_shard
from pipeline.storage.store import Store
from schemas.errors import CorruptData
from schemas.fingerprint import canonical
from schemas.manifest import ShardEntry

TreeIds = npt.NDArray[np.int32]


def read_prompts(
    store: Store, entries: Sequence[ShardEntry], trees: TreeIds, asked: TreeIds
) -> Prompts:
    """What each of some trees answers; `asked` are those that grow from a user's message.

    Trees are in order, `entries` the root tables that hold them.
    """
    found = np.zeros(len(trees), dtype=np.uint64)
    if not len(asked):
        return found
    tables = [read_shard(store, entry, ["tree_id", "messages"]) for entry in entries]
    known = {row["tree_id"]: row["messages"] for t in tables for row in _rows(t)}
    for tree in asked.tolist():
        if tree not in known:
            raise CorruptData(
                f"{store.location}: tree {tree} grows from a prompt, which no root table holds; "
                "`arborist verify` lists what is wrong."
            )
        found[np.searchsorted(trees, tree)] = _number(known[tree])
    return found


def _rows(table: pa.Table) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = table.to_pylist()
    return rows


def _number(messages: Sequence[dict[str, str]]) -> int:
    """Of the same messages, the same number; never 0."""
    said = [(message["role"], message["content"].strip()) for message in messages]
    return int.from_bytes(hashlib.blake2b(canonical(said), digest_size=8).digest()) or 1
