"""Re-check the drop list of a refined snapshot against the rows that it is about.

Lists may be long, so they stay columns: about 150 bytes a dropped node.
"""

from collections.abc import Iterator
from functools import cached_property
from typing import get_args

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.storage.drops import drops_of, withdrawn_ids
from pipeline.storage.id_index import IdIndex
from pipeline.storage.paths import path_matrix
from pipeline.storage.reader import read_kept
from pipeline.storage.snapshots import all_numbers, read_snapshot, snapshot_numbers
from pipeline.storage.store import Store
from schemas.drop_list import BIAS, DropReason
from schemas.errors import CorruptData, NotFound
from schemas.manifest import Snapshot

Flags = npt.NDArray[np.bool_]
Numbers = npt.NDArray[np.int64]

SHOWN = 5
"""Defects of one kind."""


def drop_defects(store: Store, snapshot: Snapshot) -> Iterator[str]:
    """Defects of a snapshot's drop list, none for a sound one or where there is none."""
    where = f"snapshot {snapshot.number}"
    try:
        drops = _read(store, snapshot)
        base = _base(store, snapshot)
        before = None if base is None else _read(store, base)
    except (CorruptData, NotFound) as error:
        yield str(error)
        return
    yield from _base_defects(where, snapshot, base)
    yield from _count_defects(where, snapshot, drops)
    yield from _bias_defects(where, snapshot)
    if len(drops):
        try:
            yield from _row_defects(store, snapshot, drops)
        except CorruptData as error:
            yield str(error)
            return
        yield from _reason_defects(snapshot, drops)
    if base is not None and before is not None:
        yield from _chain_defects(snapshot, base, drops, before)
        yield from _withdrawal_defects(store, snapshot, drops)


def _base(store: Store, snapshot: Snapshot) -> Snapshot | None:
    """What it was refined from; None where it was not, or where a repair retired that."""
    number = snapshot.refined_from
    if number is None or (number in all_numbers(store) and number not in snapshot_numbers(store)):
        return None
    return read_snapshot(store, number)


class _Drops:
    """The rows of a drop list by their place in it."""

    def __init__(self, table: pa.Table) -> None:
        self.table = table
        self.trees = table.column("tree_id").to_numpy()
        self.rounds = table.column("round").to_numpy()
        self.index = IdIndex(table.column("node_id"))

    def __len__(self) -> int:
        return int(self.table.num_rows)

    @cached_property
    def paths(self) -> npt.NDArray[np.int32]:
        """A line a row, filled up with -1."""
        return path_matrix(self.table.column("path"))

    @cached_property
    def keepers(self) -> Numbers:
        """The places of the keepers that are dropped themselves; -1 for all others."""
        return self.index.find(self.table.column("keeper_id"))

    def flags(self, found: pa.ChunkedArray) -> Flags:
        """Of a column of booleans; nothing is known about null, so it is false."""
        flags: Flags = pc.fill_null(found, False).to_numpy().astype(bool)
        return flags

    def with_reason(self, *reasons: str) -> Flags:
        """By row, whether its reason is one of these."""
        return self.flags(pc.is_in(self.table.column("reason"), value_set=pa.array(reasons)))

    def told(self, rows: Flags) -> Iterator[dict[str, str]]:
        """Ids and reasons of some rows."""
        yield from self.table.filter(pa.array(rows)).to_pylist()


def _read(store: Store, snapshot: Snapshot) -> _Drops:
    drops = _Drops(drops_of(store, snapshot))
    where = snapshot.drops.name if snapshot.drops else ""
    if pc.count_distinct(drops.table.column("node_id")).as_py() < len(drops):
        raise CorruptData(f"{where}: names a node more than once.")
    if not _in_order(np.column_stack([drops.trees, drops.paths])):
        raise CorruptData(f"{where}: its rows are not in the order of tree and path.")
    return drops


def _in_order(places: npt.NDArray[np.int32]) -> bool:
    """Whether no line is smaller than the one before, where the first numbers count most."""
    steps = np.sign(places[1:].astype(np.int64) - places[:-1])
    first = np.argmax(steps != 0, axis=1)
    return bool((steps[np.arange(len(steps)), first] >= 0).all())


def _base_defects(where: str, snapshot: Snapshot, base: Snapshot | None) -> Iterator[str]:
    if base is None:
        if snapshot.drops is not None or snapshot.refinement is not None:
            yield f"{where}: has a drop list, but does not say what it was refined from."
        return
    # A partial snapshot may have been continued since; what was left out of it stays so.
    known = len(base.manifests), len(base.shards)
    begins = snapshot.manifests[: known[0]], snapshot.shards[: known[1]]
    longer = len(snapshot.manifests) > known[0]
    if begins != (base.manifests, base.shards) or (longer and base.complete):
        yield f"{where}: names other rows than snapshot {base.number}, which it was refined from."
    before = base.refinement.round if base.refinement else 0
    if snapshot.refinement is None or snapshot.refinement.round != before + 1:
        yield f"{where}: is not the refinement number {before + 1} that it must be."


def _count_defects(where: str, snapshot: Snapshot, drops: _Drops) -> Iterator[str]:
    counts = pc.value_counts(drops.table.column("reason")).to_pylist()
    found = dict(sorted((count["values"], count["counts"]) for count in counts))
    told = snapshot.refinement.dropped if snapshot.refinement else {}
    if told != found:
        yield f"{where}: says it drops {told}, its drop list holds {found}."


def _bias_defects(where: str, snapshot: Snapshot) -> Iterator[str]:
    if snapshot.biases is None:
        return
    if snapshot.drops is not None and BIAS not in snapshot.biases:
        yield f"{where}: leaves rows out, but does not name its {BIAS} among its biases."
    if snapshot.drops is None and BIAS in snapshot.biases:
        yield f"{where}: names a {BIAS} among its biases, but has none."


def _row_defects(store: Store, snapshot: Snapshot, drops: _Drops) -> Iterator[str]:
    """Every node of the list is a kept row at that place, and all below it are in the list."""
    own_keeper = pc.is_null(drops.table.column("keeper_run"))
    keepers = IdIndex(pc.unique(drops.table.column("keeper_id").filter(own_keeper).drop_null()))
    missing, unknown = np.ones(len(drops), dtype=bool), np.ones(len(keepers), dtype=bool)
    columns = ["node_id", "parent_id", "tree_id", "path"]
    for table in read_kept(store, snapshot.model_copy(update={"drops": None}), columns):
        places = drops.index.find(table.column("node_id"))
        above = drops.index.find(table.column("parent_id"))
        missing[places[places >= 0]] = False
        seen = keepers.find(table.column("node_id"))
        unknown[seen[seen >= 0]] = False
        for row in table.filter(pa.array((places < 0) & (above >= 0))).to_pylist():
            yield f"node {row['node_id']}: is kept below {row['parent_id']}, which is dropped."
        yield from _place_defects(table.filter(pa.array(places >= 0)), drops, places[places >= 0])
    for node in drops.index.ids.filter(pa.array(missing))[:SHOWN].to_pylist():
        yield f"node {node}: is in the drop list, but no kept node of the run."
    for node in keepers.ids.filter(pa.array(unknown))[:SHOWN].to_pylist():
        yield f"node {node}: is a keeper in the drop list, but no kept node of the run."


def _place_defects(table: pa.Table, drops: _Drops, places: Numbers) -> Iterator[str]:
    """Rows that are not where the list has them; `places` are those in the list."""
    paths = path_matrix(table.column("path"), drops.paths.shape[1])
    listed = np.full((len(places), paths.shape[1]), -1, dtype=np.int32)
    listed[:, : drops.paths.shape[1]] = drops.paths[places]
    elsewhere = (paths != listed).any(axis=1)
    elsewhere |= table.column("tree_id").to_numpy() != drops.trees[places]
    for node in table.column("node_id").filter(pa.array(elsewhere)).to_pylist():
        yield f"node {node}: the drop list has it at another place."


def _reason_defects(snapshot: Snapshot, drops: _Drops) -> Iterator[str]:
    """Reasons are known ones, and their evidence is there and is not itself dropped."""
    known = drops.with_reason(*get_args(DropReason))
    for row in drops.told(~known):
        yield f"{_fell(row)}, which is no reason."
    subtree = drops.with_reason("subtree")
    for row in drops.told(subtree & ~_is_below(drops, subtree)):
        yield f"{_fell(row)} of {row['keeper_id']}, which is no dropped node above it."
    judged = known & ~subtree & ~drops.with_reason("withdrawn")
    yield from _keeper_defects(snapshot, drops, judged)


def _is_below(drops: _Drops, subtree: Flags) -> Flags:
    """By row, whether its keeper is a node above it that fell in its own name."""
    above = np.maximum(drops.keepers, 0)
    levels = (drops.paths >= 0).sum(axis=1)
    outside = np.arange(drops.paths.shape[1]) >= levels[above][:, np.newaxis]
    begins = ((drops.paths == drops.paths[above]) | outside).all(axis=1)
    below = (drops.trees == drops.trees[above]) & (levels > levels[above]) & begins
    found: Flags = (drops.keepers >= 0) & ~subtree[above] & below
    return found


def _keeper_defects(snapshot: Snapshot, drops: _Drops, rows: Flags) -> Iterator[str]:
    column = drops.table.column
    nothing = drops.flags(pc.or_(pc.is_null(column("keeper_id")), pc.is_null(column("similarity"))))
    for row in drops.told(rows & nothing):
        yield f"{_fell(row)} without a keeper and a similarity."
    rows = rows & ~nothing
    refinement = snapshot.refinement
    # Which runs an earlier refinement compared with, its own snapshot says.
    latest = drops.rounds == (refinement.round if refinement else 0)
    against = refinement.against if refinement else ()
    compared = pa.array([run.run_id for run in against], pa.string())
    theirs = drops.flags(pc.is_valid(column("keeper_run")))
    unheard = ~drops.flags(pc.is_in(column("keeper_run"), value_set=compared))
    for row in drops.told(rows & theirs & latest & unheard):
        yield f"{_fell(row)} for the sake of run {row['keeper_run']}, which was not compared with."
    # A later refinement may drop a keeper: for another one, or because it was withdrawn.
    dropped = (drops.keepers >= 0) & (drops.rounds[drops.keepers] <= drops.rounds)
    for row in drops.told(rows & ~theirs & dropped):
        yield f"{_fell(row)} for the sake of {row['keeper_id']}, which is dropped itself."


def _fell(row: dict[str, str]) -> str:
    return f"node {row['node_id']}: fell as {row['reason']}"


def _chain_defects(
    snapshot: Snapshot, base: Snapshot, drops: _Drops, before: _Drops
) -> Iterator[str]:
    """What fell in refinements before is still dropped, for the same reason or withdrawn since."""
    latest = drops.rounds == (snapshot.refinement.round if snapshot.refinement else 0)
    since = drops.table.filter(pa.array(drops.with_reason("withdrawn") & latest))
    told_anew = pc.is_in(before.table.column("node_id"), value_set=since.column("node_id"))
    if not drops.table.filter(pa.array(~latest)).equals(before.table.filter(pc.invert(told_anew))):
        yield (
            f"snapshot {snapshot.number}: its earlier drops are not those of snapshot "
            f"{base.number}, which it was refined from."
        )


def _withdrawal_defects(store: Store, snapshot: Snapshot, drops: _Drops) -> Iterator[str]:
    """What was withdrawn in the snapshot before, whatever this one was refined from, still is."""
    earlier = [number for number in snapshot_numbers(store) if number < snapshot.number]
    try:
        before = withdrawn_ids(drops_of(store, read_snapshot(store, earlier[-1])))
    except (CorruptData, NotFound) as error:
        yield str(error)
        return
    back = pc.invert(pc.is_in(before, value_set=withdrawn_ids(drops.table)))
    for node in before.filter(back)[:SHOWN].to_pylist():
        yield (
            f"node {node}: was withdrawn in snapshot {earlier[-1]}, but is not in snapshot "
            f"{snapshot.number}; `arborist refine --drop` with its id takes it out again."
        )
