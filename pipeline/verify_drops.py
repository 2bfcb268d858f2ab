"""Re-check the drop list of a refined snapshot against the rows that it is about."""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, get_args

from pipeline.storage.drops import read_drops
from pipeline.storage.reader import read_kept
from pipeline.storage.snapshots import read_snapshot
from pipeline.storage.store import Store
from schemas.drop_list import DropReason
from schemas.errors import CorruptData, NotFound
from schemas.manifest import Snapshot

Drop = dict[str, Any]
Drops = dict[str, Drop]

SHOWN = 5
"""Defects of one kind."""


def drop_defects(store: Store, snapshot: Snapshot) -> Iterator[str]:
    """Defects of a snapshot's drop list, none for a sound one or where there is none."""
    where = f"snapshot {snapshot.number}"
    try:
        drops, base = _read(store, snapshot)
    except (CorruptData, NotFound) as error:
        yield str(error)
        return
    yield from _base_defects(where, snapshot, base)
    yield from _count_defects(where, snapshot, drops)
    if drops:
        yield from _row_defects(store, snapshot, drops)
        yield from _reason_defects(snapshot, drops)
    if base is not None:
        yield from _chain_defects(store, base, snapshot, drops)


def _read(store: Store, snapshot: Snapshot) -> tuple[Drops, Snapshot | None]:
    drops = {} if snapshot.drops is None else _by_id(store, snapshot)
    number = snapshot.refined_from
    return drops, None if number is None else read_snapshot(store, number)


def _by_id(store: Store, snapshot: Snapshot) -> Drops:
    if snapshot.drops is None:
        return {}
    table = read_drops(store, snapshot.drops)
    drops: Drops = {row["node_id"]: row for row in table.to_pylist()}
    if len(drops) < table.num_rows:
        raise CorruptData(f"{snapshot.drops.name}: names a node more than once.")
    places = [(row["tree_id"], row["path"]) for row in drops.values()]
    if places != sorted(places):
        raise CorruptData(f"{snapshot.drops.name}: its rows are not in the order of tree and path.")
    return drops


def _base_defects(where: str, snapshot: Snapshot, base: Snapshot | None) -> Iterator[str]:
    if base is None:
        if snapshot.drops is not None or snapshot.refinement is not None:
            yield f"{where}: has a drop list, but does not say what it was refined from."
        return
    if (snapshot.manifests, snapshot.shards) != (base.manifests, base.shards):
        yield f"{where}: names other rows than snapshot {base.number}, which it was refined from."
    before = base.refinement.round if base.refinement else 0
    if snapshot.refinement is None or snapshot.refinement.round != before + 1:
        yield f"{where}: is not the refinement number {before + 1} that it must be."


def _count_defects(where: str, snapshot: Snapshot, drops: Drops) -> Iterator[str]:
    found = dict(sorted(Counter(row["reason"] for row in drops.values()).items()))
    told = snapshot.refinement.dropped if snapshot.refinement else {}
    if told != found:
        yield f"{where}: says it drops {told}, its drop list holds {found}."


def _row_defects(store: Store, snapshot: Snapshot, drops: Drops) -> Iterator[str]:
    """Every node of the list is a kept row at that place, and all below it are in the list."""
    keepers = {
        row["keeper_id"]: "" for row in drops.values() if row["keeper_id"] and not row["keeper_run"]
    }
    missing, unknown = dict.fromkeys(drops), keepers
    columns = ["node_id", "parent_id", "tree_id", "path"]
    for table in read_kept(store, snapshot.model_copy(update={"drops": None}), columns):
        for row in table.to_pylist():
            own = drops.get(row["node_id"])
            missing.pop(row["node_id"], None)
            unknown.pop(row["node_id"], None)
            if own is None and row["parent_id"] in drops:
                yield f"node {row['node_id']}: is kept below {row['parent_id']}, which is dropped."
            if own and (own["tree_id"], own["path"]) != (row["tree_id"], row["path"]):
                yield f"node {row['node_id']}: the drop list has it at another place."
    for node in list(missing)[:SHOWN]:
        yield f"node {node}: is in the drop list, but no kept node of the run."
    for node in list(unknown)[:SHOWN]:
        yield f"node {node}: is a keeper in the drop list, but no kept node of the run."


def _reason_defects(snapshot: Snapshot, drops: Drops) -> Iterator[str]:
    """Reasons are known ones, and their evidence is there and is not itself dropped."""
    last = snapshot.refinement.round if snapshot.refinement else 0
    runs = {run.run_id for run in snapshot.refinement.against} if snapshot.refinement else set()
    for node, row in drops.items():
        name = f"node {node}: fell as {row['reason']}"
        if row["reason"] not in get_args(DropReason):
            yield f"{name}, which is no reason."
        elif row["reason"] == "subtree":
            if not _is_below(row, drops.get(row["keeper_id"])):
                yield f"{name} of {row['keeper_id']}, which is no dropped node above it."
        elif row["reason"] != "withdrawn":
            # Which runs an earlier refinement compared with, its own snapshot says.
            known = runs if row["round"] == last else {*runs, row["keeper_run"]}
            yield from _keeper_defects(name, row, drops, known)


def _keeper_defects(name: str, row: Drop, drops: Drops, runs: set[str]) -> Iterator[str]:
    if row["keeper_id"] is None or row["similarity"] is None:
        yield f"{name} without a keeper and a similarity."
        return
    if row["keeper_run"] is not None:
        if row["keeper_run"] not in runs:
            yield f"{name} for the sake of run {row['keeper_run']}, which was not compared with."
        return
    keeper = drops.get(row["keeper_id"])
    # A later refinement may drop a keeper: for another one, or because it was withdrawn.
    if keeper is not None and keeper["round"] <= row["round"]:
        yield f"{name} for the sake of {row['keeper_id']}, which is dropped itself."


def _is_below(row: Drop, above: Mapping[str, Any] | None) -> bool:
    if above is None or above["reason"] == "subtree":
        return False
    start = row["path"][: len(above["path"])]
    return (above["tree_id"], above["path"]) == (row["tree_id"], start) and row is not above


def _chain_defects(store: Store, base: Snapshot, snapshot: Snapshot, drops: Drops) -> Iterator[str]:
    """What fell in refinements before is still dropped, for the same reason."""
    last = snapshot.refinement.round if snapshot.refinement else 0
    kept_on = {node: row for node, row in drops.items() if row["round"] != last}
    try:
        before = _by_id(store, base)
    except CorruptData as error:
        yield str(error)
        return
    if kept_on != before:
        yield (
            f"snapshot {snapshot.number}: its earlier drops are not those of snapshot "
            f"{base.number}, which it was refined from."
        )
