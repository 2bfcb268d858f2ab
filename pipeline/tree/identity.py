"""Ids and seeds: hashes of a place in a run, known before any text exists."""

import hashlib
import struct
from collections.abc import Iterable
from functools import lru_cache

from schemas.prompt_hash import prompt_hash
from schemas.records import Kind

__all__ = ["SEED_BITS", "child_ids", "node_id", "prompt_hash", "seed_base", "unit_draw"]

SEED_BITS = 62
"""Leaves room below 2**63 for the child's index, which is added to the base."""
_INDEX = struct.Struct("<i")


def _place(
    run_id: str, tree_id: int, path: tuple[int, ...], purpose: str, size: int
) -> "hashlib.blake2b":
    packed = struct.pack(f"<q{len(path)}i", tree_id, *path)
    person = purpose.encode().ljust(16, b"\0")
    return hashlib.blake2b(run_id.encode() + b"/" + packed, digest_size=size, person=person)


def node_id(run_id: str, tree_id: int, path: tuple[int, ...], kind: Kind = "turn") -> str:
    """The id of the node at a path of child indices; () is the root."""
    return _place(run_id, tree_id, path, "node" if kind == "turn" else kind, 16).hexdigest()


def child_ids(
    run_id: str, tree_id: int, path: tuple[int, ...], indices: Iterable[int]
) -> list[str]:
    """The ids of a node's children. What they share is hashed once."""
    shared = _place(run_id, tree_id, path, "node", 16)
    ids = []
    for index in indices:
        own = shared.copy()
        own.update(_INDEX.pack(index))
        ids.append(own.hexdigest())
    return ids


def seed_base(run_id: str, tree_id: int, path: tuple[int, ...], kind: Kind = "turn") -> int:
    """The seed of a parent's children: child i samples with this plus i."""
    raw = _place(run_id, tree_id, path, f"seed-{kind}", 8).digest()
    return int.from_bytes(raw, "little") >> (64 - SEED_BITS)


@lru_cache(1 << 10)
def unit_draw(run_id: str, tree_id: int, path: tuple[int, ...], purpose: str) -> float:
    """A number in [0, 1) that belongs to a place, for choices that are not sampling."""
    return int.from_bytes(_place(run_id, tree_id, path, purpose, 8).digest(), "little") / 2**64
