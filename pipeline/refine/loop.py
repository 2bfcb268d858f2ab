"""Compare the kept rows of a run, and of earlier runs, and name a snapshot without what repeats.

The answer depends on the rows and the spec alone: not on partitions, nor on where tasks run or in
what order they end. It names no backend.

Memory of this process: about 80 bytes a row; one partition of the band table a few times over; and
about 2 kB for each row that met another which is alike by its check bits. The shingles of these
rows, and all other partitions (24 bytes a key), wait in temporary files.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise, starmap
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.curate.whole_run.sweep import Sweep
from pipeline.pool.tasks import Tasks
from pipeline.refine.census import Flags, Numbers, cohorts_of, source_of, take_census
from pipeline.refine.comparisons import (
    PARTITION_BYTES,
    Comparing,
    conversation_rule,
    turn_rule,
    vector_rule,
)
from pipeline.refine.fallen import drop_list, merge
from pipeline.storage.drops import drops_of, withdrawn_ids, write_drops
from pipeline.storage.repairs import read_repairs
from pipeline.storage.snapshots import latest, next_number, seal_snapshot
from pipeline.storage.store import Store
from schemas.drop_list import BIAS
from schemas.errors import AlreadyExists, CorruptData, UserError
from schemas.manifest import EarlierRun, Refinement, RunFile, ShardEntry, Snapshot
from schemas.refine_spec import RefineSpec

SHOWN = 5
FALLS_BY_TURN = ("duplicate", "near_duplicate", "similar")

Note = Callable[[str], None]


class Origin(NamedTuple):
    """A run whose rows are compared."""

    store: Store
    run_file: RunFile
    snapshot: Snapshot


class Asked(NamedTuple):
    """What shall fall."""

    spec: RefineSpec
    withdrawn: Sequence[str] = ()
    """Ids of nodes that fall whatever they say."""


def refine(
    origins: Sequence[Origin],
    asked: Asked,
    tasks: Tasks,
    *,
    attempt: str,
    note: Note,
    partition_bytes: int = PARTITION_BYTES,
) -> Snapshot:
    """The new snapshot of the last of the origins; the rows of the others come first and stay.

    Where nothing falls that had not fallen before, the latest snapshot says so already, and no
    other one is made.
    """
    target, earlier = origins[-1], origins[:-1]
    _check_runs(target, earlier, asked.spec)
    # Read once: what another refinement withdraws meanwhile takes the number that ours would have.
    number, newest = next_number(target.store), latest(target.store)
    assert newest is not None, "the target's snapshot is one of its store"
    note("reading the rows")
    rows = _AllRows(origins, tasks)
    rows.withdraw([*asked.withdrawn, *_withdrawn_since(target, newest)])
    withdrawn = read_repairs(target.store).withdrawn
    rows.withdraw(rows.kept_among(withdrawn))
    comparing = Comparing(rows.census, asked.spec, tasks, partition_bytes)
    # What one comparison held is freed before the next.
    _compare_turns(rows, comparing, note)
    _compare_conversations(rows, comparing, note)
    news = rows.sweep.drops or (withdrawn and target.snapshot.refinement is None)
    if not news and target.snapshot.number == newest.number:
        return newest
    return _seal(rows, asked.spec, number, attempt)


def _withdrawn_since(target: Origin, newest: Snapshot) -> list[str]:
    """What fell by hand after an earlier snapshot: it stays withdrawn in every later one.

    As each refinement takes over the withdrawals of the one before, the newest names them all.
    """
    if newest.number == target.snapshot.number:
        return []
    ids: list[str] = withdrawn_ids(drops_of(target.store, newest)).to_pylist()
    return ids


def _check_runs(target: Origin, earlier: Sequence[Origin], spec: RefineSpec) -> None:
    own = target.run_file
    for origin in earlier:
        if origin.run_file.run_id == own.run_id:
            raise UserError(
                f"{origin.store.location}: is the run to be refined itself, {own.run_id}; a run is "
                "compared with its own rows anyway. Name other runs only."
            )
        embedders = [file.identity.curation.get("embedder") for file in (own, origin.run_file)]
        if spec.cosine is not None and embedders[0] != embedders[1]:
            raise UserError(
                f"{origin.store.location}: its vectors were made by another embedder than those of "
                f"{target.store.location} and cannot be compared with them; refine without "
                "--cosine, or without this run."
            )


class _AllRows:
    """The rows of all origins, and what is kept of them."""

    def __init__(self, origins: Sequence[Origin], tasks: Tasks) -> None:
        self.origins = origins
        sources = [source_of(o.store, o.run_file) for o in origins]
        cohorts = [list(cohorts_of(s, o.snapshot)) for s, o in zip(sources, origins, strict=True)]
        self.census = take_census((c for some in cohorts for c in some), tasks)
        bounds = np.cumsum([0, *map(len, cohorts)]).tolist()
        self._cohorts = list(starmap(range, pairwise(bounds)))
        """Of each origin."""
        self.first_own = int(self.census.starts[bounds[-2]])
        kept = np.ones(len(self.census), dtype=bool)
        lists = [drops_of(origin.store, origin.snapshot) for origin in origins]
        for origin, drops, numbers in zip(origins, lists, self._cohorts, strict=True):
            self.old_rows = self._rows(origin, drops, numbers)
            kept[self.old_rows] = False
        self.old_drops = lists[-1]
        self.sweep = Sweep(self.census.grove, kept, self.first_own)

    @property
    def target(self) -> Origin:
        """The run that is refined."""
        return self.origins[-1]

    def withdraw(self, ids: Sequence[str]) -> None:
        """Drop nodes by id, even those that fell for another reason; an unknown id is an error."""
        wanted = pa.array(sorted(set(ids)), pa.string())
        rows = self.census.rows(wanted, self._cohorts[-1])
        if len(rows) < len(wanted):
            known = set(self.census.ids(rows).to_pylist())
            unknown = [one for one in wanted.to_pylist() if one not in known]
            more = f" and {len(unknown) - SHOWN} more" if len(unknown) > SHOWN else ""
            raise UserError(
                f"{self.target.store.location}: {len(unknown)} of the {len(wanted)} ids to be "
                f"withdrawn are not those of kept nodes: {', '.join(unknown[:SHOWN])}{more}."
            )
        withdrawn = withdrawn_ids(self.old_drops)
        rows = np.setdiff1d(rows, self.census.rows(withdrawn, self._cohorts[-1]))
        self.sweep.withdraw(rows.tolist())
        # Of those that fell before, the withdrawal is what is told from now on.
        others = ~np.isin(self.old_rows, rows)
        self.old_rows = self.old_rows[others]
        self.old_drops = self.old_drops.filter(pa.array(others))

    def kept_among(self, ids: Iterable[str]) -> list[str]:
        """Those ids that are of kept nodes of the target."""
        wanted = pa.array(sorted(set(ids)), pa.string())
        found: list[str] = self.census.ids(self.census.rows(wanted, self._cohorts[-1])).to_pylist()
        return found

    def pinned(self) -> Flags:
        """Turns for whose sake others fell."""
        pinned = np.zeros(len(self.census), dtype=bool)
        for drop in self.sweep.drops:
            if drop.keeper is not None:
                pinned[drop.keeper] = True
        by_turn = pc.is_in(self.old_drops.column("reason"), value_set=pa.array(FALLS_BY_TURN))
        own = pc.is_null(self.old_drops.column("keeper_run"))
        old = self.old_drops.filter(pc.and_(by_turn, own)).column("keeper_id").combine_chunks()
        pinned[self.census.rows(old, self._cohorts[-1])] = True
        return pinned

    def fallen(self, number: int) -> tuple[Numbers, pa.Table]:
        """What the sweep dropped."""
        return drop_list(self.census, self.sweep.drops, first_own=self.first_own, number=number)

    def _rows(self, origin: Origin, drops: pa.Table, cohorts: Sequence[int]) -> Numbers:
        """The rows that a drop list names. It is in row order, so they stand as its rows do."""
        trees, ids = drops.column("tree_id").to_numpy(), drops.column("node_id").combine_chunks()
        found = [np.zeros(0, dtype=np.int64)]
        for number in cohorts if drops.num_rows else ():
            own = self.census.cohorts[number].trees
            start, stop = np.searchsorted(trees, [own[0], own[-1] + 1]).tolist()
            found.append(self.census.rows(ids.slice(start, stop - start), [number]))
        rows = np.concatenate(found)
        if len(rows) != drops.num_rows:
            raise CorruptData(
                f"{origin.store.location}: the drop list of snapshot {origin.snapshot.number} "
                f"names {drops.num_rows} nodes, of which {len(rows)} are kept rows of the run; "
                "`arborist verify` lists what is wrong."
            )
        return rows


def _compare_turns(rows: _AllRows, comparing: Comparing, note: Note) -> None:
    spec, grove, sweep = comparing.spec, rows.census.grove, rows.sweep
    turns = np.zeros(len(grove), dtype=bool)
    if "openings" in spec.scopes:
        turns |= _openings(rows, note)
    if "turns" in spec.scopes:
        turns |= (grove.levels > 0) & ~grove.answers
    turns &= sweep.kept
    rules = []
    if spec.duplicates != "keep" and turns.any():
        note(f"comparing {np.count_nonzero(turns):,} turns")
        rules.append(turn_rule(comparing, turns))
        note(f"{len(rules[-1].meetings.rows):,} turns may repeat another")
    if spec.cosine is not None:
        # What was given was never measured.
        measured = turns & ~grove.given
        note(f"comparing {np.count_nonzero(measured):,} vectors")
        rules.append(vector_rule(comparing, measured, spec.cosine))
        note(f"{len(rules[-1].meetings.rows):,} vectors may be like another")
    sweep.turns(rules)


def _openings(rows: _AllRows, note: Note) -> Flags:
    """The turns of level 1, but for answers to prompts: another prompt may have the same."""
    grove = rows.census.grove
    prompted = np.count_nonzero(grove.prompts)
    if prompted:
        note(
            f"in {prompted:,} of {len(grove.prompts):,} trees the openings answer prompts: these "
            "are compared as conversations only, with answers to the very same prompt"
        )
    openings = np.flatnonzero(grove.levels == 1)
    found = np.zeros(len(grove), dtype=bool)
    found[openings[grove.prompts_of(openings) == 0]] = True
    return found


def _compare_conversations(rows: _AllRows, comparing: Comparing, note: Note) -> None:
    if comparing.spec.duplicates == "keep" or "conversations" not in comparing.spec.scopes:
        return
    answers = rows.census.grove.answers & rows.sweep.kept
    note(f"comparing {np.count_nonzero(answers):,} conversations and their beginnings")
    rule = conversation_rule(comparing, answers)
    note(f"{len(rule.meetings.rows):,} of them may repeat another")
    rows.sweep.conversations(rule, rows.pinned())


def _seal(rows: _AllRows, spec: RefineSpec, number: int, attempt: str) -> Snapshot:
    target = rows.target
    base = target.snapshot
    before = base.refinement.round if base.refinement else 0
    listed = merge([(rows.old_rows, rows.old_drops), rows.fallen(before + 1)])
    drops = base.drops
    if rows.sweep.drops:
        drops = write_drops(
            target.store, listed, run_id=base.run_id, number=number, attempt=attempt
        )
    refinement = Refinement(
        round=before + 1,
        spec=spec,
        against=tuple(
            EarlierRun(run_id=o.run_file.run_id, snapshot=o.snapshot.number)
            for o in rows.origins[:-1]
        ),
        dropped=dict(sorted(Counter(listed.column("reason").to_pylist()).items())),
    )
    snapshot = base.model_copy(
        update={
            "number": number,
            "drops": drops,
            "refined_from": base.number,
            "refinement": refinement,
            "biases": _biases(base, drops),
        }
    )
    _write_snapshot(target.store, snapshot, drops if rows.sweep.drops else None)
    return snapshot


def _biases(base: Snapshot, drops: ShardEntry | None) -> tuple[str, ...] | None:
    if base.biases is None or drops is None:
        return base.biases
    # A list that was there before is named already.
    return tuple(dict.fromkeys([*base.biases, BIAS]))


def _write_snapshot(store: Store, snapshot: Snapshot, ours: ShardEntry | None) -> None:
    try:
        seal_snapshot(store, snapshot)
    except AlreadyExists as error:
        # Another refinement took the number, so nothing will ever name our list.
        if ours is not None:
            store.delete(ours.name)
        raise AlreadyExists(
            f"{store.location}: another refinement sealed snapshot {snapshot.number} meanwhile, "
            "and this one does not know what that one withdrew; start the same command again."
        ) from error
