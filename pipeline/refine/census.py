"""The census: every kept row of some runs as columns, numbered in row order.

Row order is (run, tree, path). A row costs about 70 bytes; texts and signatures stay where they
are. One task works on the rows of a cohort.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.curate.versions import signed_here
from pipeline.curate.whole_run.grove import Grove, Prompts
from pipeline.pool.tasks import Tasks
from pipeline.refine.prompts import read_prompts
from pipeline.storage.paths import path_matrix
from pipeline.storage.shards import read_shard
from pipeline.storage.store import Store
from schemas.dialect import Dialect
from schemas.manifest import RunFile, ShardEntry, Snapshot
from schemas.records import Role
from schemas.wave_id import WaveId

Flags = npt.NDArray[np.bool_]
Numbers = npt.NDArray[np.int64]


class Source(NamedTuple):
    """A run, as far as reading its rows is concerned."""

    store: Store
    """Opened anew in each process."""
    run_id: str
    dialects: tuple[Dialect, ...]
    """By model index."""
    signed: bool
    """Whether its stored signatures may be compared with those made here."""


ANSWERING: tuple[Role, ...] = ("assistant", "text")
"""Whose turns a conversation may end with."""


class WaveFiles(NamedTuple):
    """The kept rows of a wave, the numbers about them, if there are any, and what its trees grow
    from, where it is the first."""

    wave: WaveId
    nodes: ShardEntry
    features: ShardEntry | None
    roots: ShardEntry | None


class CohortFiles(NamedTuple):
    """The waves of one cohort in plan order: each after the one that its parents come from."""

    source: Source
    waves: tuple[WaveFiles, ...]


def source_of(store: Store, run_file: RunFile) -> Source:
    """How the rows of a run are read."""
    signed = signed_here(run_file.identity.curation)
    dialects = tuple(run_file.dialects[tongue] for tongue in run_file.tongues)
    return Source(store, run_file.run_id, dialects, signed)


def cohorts_of(source: Source, snapshot: Snapshot) -> Iterator[CohortFiles]:
    """What a snapshot names, cohort by cohort."""
    features = {e.stem: e for e in snapshot.shards if e.table == "features"}
    roots = {e.stem: e for e in snapshot.shards if e.table == "roots"}
    waves = [
        WaveFiles(e.wave, e, features.get(e.stem), roots.get(e.stem))
        for e in snapshot.shards
        if e.table == "nodes"
    ]
    for _, files in groupby(waves, key=lambda files: files.wave.cohort):
        yield CohortFiles(source, tuple(files))


@dataclass(frozen=True, eq=False)
class CohortRows:
    """The kept rows of a cohort. By row, all but `ids` and `places` are in row order."""

    files: CohortFiles
    ids: pa.StringArray
    """In the order of the shards."""
    places: npt.NDArray[np.int32]
    """In the order of the shards: which row of the cohort it is."""
    trees: npt.NDArray[np.int32]
    levels: npt.NDArray[np.int16]
    children: npt.NDArray[np.int32]
    """The last number of each path; -1 for a root."""
    answers: Flags
    given: Flags
    prompts: Prompts
    """By tree, as a grove has them."""

    def __len__(self) -> int:
        return len(self.places)

    def waves(self) -> Iterator[tuple[WaveFiles, npt.NDArray[np.int32], pa.StringArray]]:
        """Each wave with its rows and their ids, in the order of its shard."""
        start = 0
        for files in self.files.waves:
            size = files.nodes.rows
            yield files, self.places[start : start + size], self.ids.slice(start, size)
            start += size

    @cached_property
    def grove(self) -> Grove:
        """Its shape."""
        return Grove(self.trees, self.levels, self.answers, self.given, self.prompts)

    def ids_of(self, rows: Numbers) -> pa.StringArray:
        """The ids of rows."""
        where = np.empty(len(self), dtype=np.int64)
        where[self.places] = np.arange(len(self))
        return self.ids.take(pa.array(where[rows]))


def read_cohort(files: CohortFiles) -> CohortRows:
    """Read the light columns of a cohort."""
    store = files.source.store
    columns = ["node_id", "tree_id", "path", "role", "origin"]
    table = pa.concat_tables(read_shard(store, wave.nodes, columns) for wave in files.waves)
    trees = table.column("tree_id").to_numpy().astype(np.int32)
    paths = path_matrix(table.column("path"))
    # The last key is the first one that counts.
    order = np.lexsort((*paths.T[::-1], trees))
    places = np.empty(len(order), dtype=np.int32)
    places[order] = np.arange(len(order))
    levels = (paths >= 0).sum(axis=1).astype(np.int16)
    last = np.take_along_axis(paths, np.maximum(levels - 1, 0)[:, np.newaxis].astype(int), axis=1)
    roles = table.column("role")
    answers = _flags(pc.is_in(roles, value_set=pa.array(ANSWERING))) & (levels > 0)
    asked = trees[_flags(pc.equal(roles, "user")) & (levels == 0)]
    roots = [wave.roots for wave in files.waves if wave.roots is not None]
    return CohortRows(
        files=files,
        ids=table.column("node_id").combine_chunks(),
        places=places,
        trees=trees[order],
        levels=levels[order],
        children=last.reshape(-1)[order].astype(np.int32),
        answers=answers[order],
        given=_flags(pc.equal(table.column("origin"), "given"))[order],
        prompts=read_prompts(store, roots, np.unique(trees), asked),
    )


def _flags(column: pa.ChunkedArray) -> Flags:
    flags: Flags = column.to_numpy().astype(bool)
    return flags


class Census:
    """All cohorts, and the rows of all of them as one grove."""

    def __init__(self, cohorts: Sequence[CohortRows]) -> None:
        self.cohorts = cohorts
        self.starts = np.cumsum([0, *map(len, cohorts)])
        """The first row of each cohort, and the number of rows."""
        self._shifts = _shifts(cohorts)
        trees = (c.trees + shift for c, shift in zip(cohorts, self._shifts, strict=True))
        self.grove = Grove(
            trees=np.concatenate([np.zeros(0, dtype=np.int32), *trees]),
            levels=np.concatenate([np.zeros(0, dtype=np.int16), *(c.levels for c in cohorts)]),
            answers=np.concatenate([np.zeros(0, dtype=bool), *(c.answers for c in cohorts)]),
            given=np.concatenate([np.zeros(0, dtype=bool), *(c.given for c in cohorts)]),
            prompts=np.concatenate([np.zeros(0, dtype=np.uint64), *(c.prompts for c in cohorts)]),
        )

    def __len__(self) -> int:
        return int(self.starts[-1])

    def flags_of(self, flags: Flags, number: int) -> Flags:
        """Those of the rows of a cohort."""
        return flags[self.starts[number] : self.starts[number + 1]]

    def cohort_of(self, rows: Numbers) -> Numbers:
        """The cohorts that hold rows."""
        return np.searchsorted(self.starts, rows, side="right") - 1

    def ids(self, rows: Numbers) -> pa.StringArray:
        """Their ids."""
        numbers = self.cohort_of(rows)
        order = np.argsort(numbers, kind="stable")
        found = [pa.array([], pa.string())]
        for number in np.unique(numbers).tolist():
            local = rows[numbers == number] - self.starts[number]
            found.append(self.cohorts[number].ids_of(local))
        places = np.empty(len(rows), dtype=np.int64)
        places[order] = np.arange(len(rows))
        return pa.concat_arrays(found).take(pa.array(places))

    def rows(self, ids: pa.Array, cohorts: Sequence[int]) -> Numbers:
        """The rows of ids among those of some cohorts, in order; ids of no row are left out."""
        found = [np.zeros(0, dtype=np.int64)]
        # All cohorts in one look-up, which hashes the ids once.
        known = pa.chunked_array([self.cohorts[number].ids for number in cohorts], pa.string())
        named = pc.is_in(known, value_set=ids).to_numpy()
        start = 0
        for number in cohorts:
            places = self.cohorts[number].places
            own = places[named[start : start + len(places)]]
            found.append(np.sort(own) + self.starts[number])
            start += len(places)
        return np.concatenate(found)

    def tree_ids(self, rows: Numbers) -> npt.NDArray[np.int32]:
        """The numbers that trees have in their runs."""
        return self.grove.trees[rows] - self._shifts[self.cohort_of(rows)]

    def path(self, row: int) -> list[int]:
        """Child indices from the root down to a row."""
        number = int(self.cohort_of(np.array(row)))
        start = int(self.starts[number])
        children = self.cohorts[number].children
        return [int(children[turn - start]) for turn in self.grove.path(row)]


def take_census(cohorts: Iterable[CohortFiles], tasks: Tasks) -> Census:
    """Read all cohorts, in the order given."""
    return Census(list(tasks.map(read_cohort, cohorts)))


def _shifts(cohorts: Sequence[CohortRows]) -> npt.NDArray[np.int32]:
    """By cohort, what to add to its trees, so that those of different runs share no number."""
    shift, highest, run = 0, -1, None
    found = []
    for cohort in cohorts:
        if cohort.files.source.run_id != run:
            shift, run = highest + 1, cohort.files.source.run_id
        found.append(shift)
        highest = max(highest, shift + int(cohort.trees.max(initial=-1)))
    return np.array(found, dtype=np.int32)
