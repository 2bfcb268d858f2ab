"""Finds one node of a run and reads what belongs to it, from committed waves alone."""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.storage.drops import read_drops
from pipeline.storage.shards import WaveRows, read_shard, read_wave, wave_rows
from pipeline.storage.snapshots import latest
from pipeline.storage.store import Store
from schemas.errors import CorruptData, UserError
from schemas.manifest import Manifest, ShardEntry, Table
from schemas.node_table import from_table
from schemas.records import Candidate, Node, Root
from schemas.root_table import from_root_table
from schemas.wave_id import WaveId

Manifests = Mapping[str, Manifest]
"""Of committed waves, by wave."""

_READERS = 8
_SHOWN = 5
ID_LENGTH = 32


class Found(NamedTuple):
    """A node, and the wave it was made in."""

    node_id: str
    wave: WaveId


class Child(NamedTuple):
    """What became of a row below a node."""

    drop_reason: str | None
    """None for a kept one."""
    given: bool
    """Whether nobody was asked for it."""


class Later(NamedTuple):
    """A node that a refinement left out after it was kept."""

    snapshot: int
    reason: str
    keeper_id: str | None
    keeper_run: str | None
    similarity: float | None


def find_node(store: Store, manifests: Manifests, prefix: str) -> Found:
    """The one node whose id begins so: kept, dropped, or beside the tree."""
    found: list[Found] = []
    for wave, ids in _node_ids(store, manifests):
        hits = ids.filter(pc.starts_with(ids, prefix))
        found += [Found(node_id, wave) for node_id in hits.to_pylist()]
        if found and len(prefix) == ID_LENGTH:
            break
    if len(found) == 1:
        return found[0]
    if found:
        raise UserError(_ambiguous(store, prefix, sorted(hit.node_id for hit in found)))
    raise UserError(
        f"{store.location}: no node of its {len(manifests)} committed waves has an id that begins "
        f"with {prefix!r}. Ids are the column node_id of the tables below nodes/, dropped/ and "
        "asides/; `arborist status` tells how far the run is."
    )


def _ambiguous(store: Store, prefix: str, ids: list[str]) -> str:
    shown = ", ".join(ids[:_SHOWN])
    more = f" and {len(ids) - _SHOWN} more" if len(ids) > _SHOWN else ""
    return (
        f"{store.location}: {len(ids)} nodes have ids that begin with {prefix!r}: {shown}{more}. "
        "Give more of the id."
    )


def _node_ids(store: Store, manifests: Manifests) -> Iterator[tuple[WaveId, pa.ChunkedArray]]:
    entries = [
        (WaveId.parse(manifest.wave), entry)
        for manifest in manifests.values()
        for entry in _entries(manifest, "nodes", "dropped", "asides")
    ]
    tables = _read_all(store, [entry for _, entry in entries], ["node_id"])
    for (wave, _), table in zip(entries, tables, strict=True):
        yield wave, table.column("node_id")


def _entries(manifest: Manifest, *tables: Table) -> list[ShardEntry]:
    return [entry for entry in manifest.shards if entry.table in tables]


def _read_all(
    store: Store, entries: Sequence[ShardEntry], columns: list[str]
) -> Iterator[pa.Table]:
    """In order, some of them at once, and none any more once the reader has what it looks for."""
    readers = ThreadPoolExecutor(_READERS)
    try:
        for start in range(0, len(entries), _READERS):
            block = entries[start : start + _READERS]
            yield from readers.map(lambda entry: read_shard(store, entry, columns), block)
    finally:
        readers.shutdown(cancel_futures=True)


def rows_of_wave(store: Store, manifest: Manifest) -> WaveRows:
    """A wave's rows, kept and dropped, and what was said about them."""
    return wave_rows(read_wave(store, _entries(manifest, "nodes", "dropped", "asides")))


def ancestors(store: Store, manifests: Manifests, node: Candidate, wave: WaveId) -> list[Candidate]:
    """From the root down to the node's parent."""
    path: list[Candidate] = []
    parent_id, place = node.parent_id, wave if node.level == 1 else wave.parent
    while parent_id is not None and place is not None:
        parent = _kept_row(store, manifests, parent_id, place)
        path.append(parent)
        # A root lies in the wave of its openings.
        parent_id, place = parent.parent_id, place if parent.level == 1 else place.parent
    return path[::-1]


def _kept_row(store: Store, manifests: Manifests, node_id: str, wave: WaveId) -> Candidate:
    manifest = manifests.get(wave.name)
    for entry in _entries(manifest, "nodes") if manifest else ():
        table = read_shard(store, entry)
        rows = table.filter(pc.equal(table.column("node_id"), node_id))
        if rows.num_rows:
            return from_table(rows)[0].candidate
    raise CorruptData(
        f"{store.location}: wave {wave.name} has no kept row {node_id}, though one of its children "
        "is there. `arborist verify` lists all defects of the run."
    )


def root_of(store: Store, manifests: Manifests, tree_id: int, wave: WaveId) -> Root:
    """What a tree grows from; it lies with the first wave of its cohort."""
    first = WaveId(wave.path[:1])
    manifest = manifests.get(first.name)
    for entry in _entries(manifest, "roots") if manifest else ():
        table = read_shard(store, entry)
        rows = table.filter(pc.equal(table.column("tree_id"), tree_id))
        if rows.num_rows:
            return from_root_table(rows)[0]
    raise CorruptData(
        f"{store.location}: wave {first.name} has no row of tree {tree_id} below roots/. "
        "`arborist verify` lists all defects of the run."
    )


def children_of(store: Store, manifests: Manifests, node: Node, wave: WaveId) -> list[Child]:
    """All rows below a node."""
    if not node.verdict.kept:
        return []
    # A root lies in the wave of its openings.
    is_root = not node.candidate.level
    below = [wave] if is_root else [w for w in map(WaveId.parse, manifests) if w.parent == wave]
    entries = [e for child in below for e in _entries(manifests[child.name], "nodes", "dropped")]
    found: list[Child] = []
    for table in _read_all(store, entries, ["parent_id", "drop_reason", "origin"]):
        own = table.filter(pc.equal(table.column("parent_id"), node.candidate.node_id))
        reasons, origins = own.column("drop_reason").to_pylist(), own.column("origin").to_pylist()
        found += [Child(r, o == "given") for r, o in zip(reasons, origins, strict=True)]
    return found


def left_out_later(store: Store, node_id: str) -> Later | None:
    """What the latest snapshot's drop list says of a node."""
    snapshot = latest(store)
    if snapshot is None or snapshot.drops is None:
        return None
    table = read_drops(store, snapshot.drops)
    for row in table.filter(pc.equal(table.column("node_id"), node_id)).to_pylist():
        return Later(
            snapshot=snapshot.number,
            reason=row["reason"],
            keeper_id=row["keeper_id"],
            keeper_run=row["keeper_run"],
            similarity=row["similarity"],
        )
    return None
