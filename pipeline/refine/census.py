"""The census: every kept row of some runs as columns, numbered in row order.

Row order is (run, tree, path). A row costs about 70 bytes; texts and signatures stay where they
are. The rows of a cohort are a block, which is what one task works on.
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

from pipeline.curate.grove import Grove
from pipeline.curate.signature import DESCRIPTION
from pipeline.pool.tasks import Tasks
from pipeline.storage.open import open_store
from pipeline.storage.shards import read_shard
from schemas.dialect import Dialect
from schemas.manifest import RunFile, ShardEntry, Snapshot
from schemas.wave_id import WaveId

Flags = npt.NDArray[np.bool_]
Numbers = npt.NDArray[np.int64]


class Source(NamedTuple):
    """A run, as far as reading its rows is concerned."""

    location: str
    run_id: str
    dialect: Dialect
    signed: bool
    """Whether its stored signatures may be compared with those made here."""


class WaveFiles(NamedTuple):
    """The kept rows of a wave, and the numbers about them, if there are any."""

    wave: WaveId
    nodes: ShardEntry
    features: ShardEntry | None


class Cohort(NamedTuple):
    """The waves of one cohort in plan order: each after the one that its parents come from."""

    source: Source
    waves: tuple[WaveFiles, ...]


def source_of(location: str, run_file: RunFile) -> Source:
    """How the rows of a run are read."""
    signed = run_file.identity.curation.get("signature") == DESCRIPTION
    return Source(location, run_file.run_id, run_file.dialect, signed)


def cohorts_of(source: Source, snapshot: Snapshot) -> Iterator[Cohort]:
    """What a snapshot names, cohort by cohort."""
    features = {_stem(e): e for e in snapshot.shards if e.table == "features"}
    waves = [
        WaveFiles(WaveId.parse(_stem(e).partition("-")[0]), e, features.get(_stem(e)))
        for e in snapshot.shards
        if e.table == "nodes"
    ]
    for _, files in groupby(waves, key=lambda files: files.wave.cohort):
        yield Cohort(source, tuple(files))


def _stem(entry: ShardEntry) -> str:
    """Wave and attempt, which the shards of a wave share."""
    return entry.name.rpartition("/")[2].removesuffix(".parquet")


@dataclass(frozen=True, eq=False)
class Block:
    """The kept rows of a cohort. All but `ids` and `places` are in row order."""

    cohort: Cohort
    ids: pa.StringArray
    """In the order of the shards."""
    places: npt.NDArray[np.int32]
    """In the order of the shards: which row of the block it is."""
    trees: npt.NDArray[np.int32]
    levels: npt.NDArray[np.int16]
    children: npt.NDArray[np.int32]
    """The last number of each path; -1 for a root."""
    answers: Flags

    def __len__(self) -> int:
        return len(self.places)

    def waves(self) -> Iterator[tuple[WaveFiles, npt.NDArray[np.int32], pa.StringArray]]:
        """Each wave with its rows and their ids, in the order of its shard."""
        start = 0
        for files in self.cohort.waves:
            size = files.nodes.rows
            yield files, self.places[start : start + size], self.ids.slice(start, size)
            start += size

    @cached_property
    def grove(self) -> Grove:
        """Its shape."""
        return Grove(self.trees, self.levels, self.answers)

    def ids_of(self, rows: Numbers) -> pa.StringArray:
        """The ids of rows."""
        where = np.empty(len(self), dtype=np.int64)
        where[self.places] = np.arange(len(self))
        return self.ids.take(pa.array(where[rows]))


def read_block(cohort: Cohort) -> Block:
    """Read the light columns of a cohort."""
    store = open_store(cohort.source.location)
    columns = ["node_id", "tree_id", "path", "role"]
    table = pa.concat_tables(read_shard(store, files.nodes, columns) for files in cohort.waves)
    trees = table.column("tree_id").to_numpy().astype(np.int32)
    paths = _paths(table.column("path").combine_chunks())
    # The last key is the first one that counts.
    order = np.lexsort((*paths.T[::-1], trees))
    places = np.empty(len(order), dtype=np.int32)
    places[order] = np.arange(len(order))
    levels = (paths >= 0).sum(axis=1).astype(np.int16)
    last = np.take_along_axis(paths, np.maximum(levels - 1, 0)[:, np.newaxis].astype(int), axis=1)
    answers = pc.equal(table.column("role"), "assistant").to_numpy(zero_copy_only=False)
    return Block(
        cohort=cohort,
        ids=table.column("node_id").combine_chunks(),
        places=places,
        trees=trees[order],
        levels=levels[order],
        children=last.reshape(-1)[order].astype(np.int32),
        answers=answers.astype(bool)[order],
    )


def _paths(column: pa.ListArray) -> npt.NDArray[np.int32]:
    """A line a row, filled up with -1, which sorts a node before those below it."""
    lengths = pc.list_value_length(column).to_numpy()
    width = max(1, int(lengths.max(initial=0)))
    found = np.full((len(column), width), -1, dtype=np.int32)
    found[np.arange(width) < lengths[:, np.newaxis]] = column.flatten().to_numpy()
    return found


class Census:
    """All blocks, and the rows of all of them as one grove."""

    def __init__(self, blocks: Sequence[Block]) -> None:
        self.blocks = blocks
        self.starts = np.cumsum([0, *map(len, blocks)])
        """The first row of each block, and the number of rows."""
        self._shifts = _shifts(blocks)
        trees = (b.trees + shift for b, shift in zip(blocks, self._shifts, strict=True))
        self.grove = Grove(
            trees=np.concatenate([np.zeros(0, dtype=np.int32), *trees]),
            levels=np.concatenate([np.zeros(0, dtype=np.int16), *(b.levels for b in blocks)]),
            answers=np.concatenate([np.zeros(0, dtype=bool), *(b.answers for b in blocks)]),
        )

    def __len__(self) -> int:
        return int(self.starts[-1])

    def part(self, flags: Flags, number: int) -> Flags:
        """Those of a block."""
        return flags[self.starts[number] : self.starts[number + 1]]

    def block_of(self, rows: Numbers) -> Numbers:
        """The blocks that hold rows."""
        return np.searchsorted(self.starts, rows, side="right") - 1

    def ids(self, rows: Numbers) -> pa.StringArray:
        """Their ids."""
        numbers = self.block_of(rows)
        order = np.argsort(numbers, kind="stable")
        found = [pa.array([], pa.string())]
        for number in np.unique(numbers).tolist():
            local = rows[numbers == number] - self.starts[number]
            found.append(self.blocks[number].ids_of(local))
        places = np.empty(len(rows), dtype=np.int64)
        places[order] = np.arange(len(rows))
        return pa.concat_arrays(found).take(pa.array(places))

    def rows(self, ids: pa.Array, blocks: Iterable[int]) -> Numbers:
        """The rows of ids among those of some blocks, in order; ids of no row are left out."""
        found = [np.zeros(0, dtype=np.int64)]
        for number in blocks if len(ids) else ():
            block = self.blocks[number]
            named = pc.is_in(block.ids, value_set=ids).to_numpy(zero_copy_only=False)
            found.append(np.sort(block.places[named]) + self.starts[number])
        return np.concatenate(found)

    def tree_ids(self, rows: Numbers) -> npt.NDArray[np.int32]:
        """The numbers that trees have in their runs."""
        return self.grove.trees[rows] - self._shifts[self.block_of(rows)]

    def path(self, row: int) -> list[int]:
        """Child indices from the root down to a row."""
        number = int(self.block_of(np.array(row)))
        start = int(self.starts[number])
        children = self.blocks[number].children
        return [int(children[turn - start]) for turn in self.grove.path(row)]


def take_census(cohorts: Iterable[Cohort], tasks: Tasks) -> Census:
    """Read all cohorts, in the order given."""
    return Census(list(tasks.map(read_block, cohorts)))


def _shifts(blocks: Sequence[Block]) -> npt.NDArray[np.int32]:
    """By block, what to add to its trees, so that those of different runs share no number."""
    shift, highest, run = 0, -1, None
    found = []
    for block in blocks:
        if block.cohort.source.run_id != run:
            shift, run = highest + 1, block.cohort.source.run_id
        found.append(shift)
        highest = max(highest, shift + int(block.trees.max(initial=-1)))
    return np.array(found, dtype=np.int32)
