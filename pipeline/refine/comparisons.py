"""Comparisons: from rows to the judges of a sweep, with exact evidence for the few that meet."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pipeline.curate.band_table import ENTRY, Table, crowded, least_equal_bits
from pipeline.curate.bands import BANDS
from pipeline.curate.likeness import ConversationLikeness, Said, TurnLikeness, VectorLikeness
from pipeline.curate.planes import agreement, choose_bands
from pipeline.curate.sweep import Judge, Meetings
from pipeline.pool.tasks import Tasks
from pipeline.refine.census import Census, Flags
from pipeline.refine.evidence import (
    Part,
    PartSayings,
    conversation_tables,
    read_sayings,
    read_vectors,
    turn_tables,
    vector_tables,
)
from pipeline.storage.spill import Spill
from schemas.refine_spec import RefineSpec

PARTITION_BYTES = 64 << 20
"""About so much of a band table is sorted at once."""

Split = Callable[[Part], list[Table]]


class Comparing(NamedTuple):
    """What all comparisons need."""

    census: Census
    spec: RefineSpec
    tasks: Tasks
    partition_bytes: int = PARTITION_BYTES

    @property
    def exact(self) -> bool:
        """Whether only the very same counts."""
        return self.spec.duplicates == "exact"

    @property
    def threshold(self) -> float | None:
        """Of shingles."""
        return None if self.exact else self.spec.threshold


def turn_judge(comparing: Comparing, turns: Flags) -> Judge:
    """Turns by text."""
    split = partial(turn_tables, comparing.exact)
    meetings = _meet(comparing, split, turns, *_by_signature(comparing))
    sayings = _sayings(comparing, meetings.rows)
    likeness = TurnLikeness(sayings)
    return Judge(meetings, likeness, comparing.threshold, "duplicate", "near_duplicate")


def conversation_judge(comparing: Comparing, answers: Flags) -> Judge:
    """Conversations by the answers that may be their last."""
    split = partial(conversation_tables, comparing.exact)
    meetings = _meet(comparing, split, answers, *_by_signature(comparing))
    grove = comparing.census.grove
    turns = {turn for row in meetings.rows.tolist() for turn in grove.path(row)}
    sayings = _sayings(comparing, np.array(sorted(turns), dtype=np.int64))
    likeness = ConversationLikeness(grove, sayings)
    return Judge(meetings, likeness, comparing.threshold, "conversation", "conversation")


def vector_judge(comparing: Comparing, turns: Flags, cosine: float) -> Judge:
    """Turns by their vectors."""
    bits, bands = choose_bands(cosine)
    split = partial(vector_tables, bits, bands)
    least = least_equal_bits(agreement(cosine))
    meetings = _meet(comparing, split, turns, bands, least)
    parts = _parts(comparing.census, _flags(comparing.census, meetings.rows))
    found = [some for some in comparing.tasks.map(read_vectors, parts) if len(some.rows)]
    rows = np.concatenate([np.zeros(0, dtype=np.int64), *(some.rows for some in found)])
    vectors = [some.vectors for some in found] or [np.zeros((0, 0), dtype=np.int8)]
    return Judge(meetings, VectorLikeness(rows, np.concatenate(vectors)), cosine, "", "similar")


def _by_signature(comparing: Comparing) -> tuple[int, int]:
    """How many keys a row has, and how many check bits those that are alike have in common."""
    if comparing.exact:
        return 1, least_equal_bits(1.0)
    return BANDS, least_equal_bits((1 + comparing.spec.threshold) / 2)


def _meet(
    comparing: Comparing, split: Callable[..., list[Table]], wanted: Flags, bands: int, least: int
) -> Meetings:
    entries = int(np.count_nonzero(wanted)) * bands
    if not entries:
        return Meetings(np.zeros(0, dtype=ENTRY), least)
    partitions = max(1, -(-entries * ENTRY.itemsize // comparing.partition_bytes))
    tables = comparing.tasks.shuffle(
        partial(split, partitions),
        _parts(comparing.census, wanted),
        partial(crowded, least=least),
        partitions,
    )
    return Meetings(np.concatenate([np.zeros(0, dtype=ENTRY), *tables]), least)


def _parts(census: Census, wanted: Flags) -> Iterator[Part]:
    for number, block in enumerate(census.blocks):
        own = census.part(wanted, number)
        if own.any():
            yield Part(block, int(census.starts[number]), own)


def _flags(census: Census, rows: npt.NDArray[np.integer]) -> Flags:
    flags = np.zeros(len(census), dtype=bool)
    flags[rows] = True
    return flags


def _sayings(comparing: Comparing, rows: npt.NDArray[np.integer]) -> "SpilledSayings":
    sayings = SpilledSayings()
    for part in comparing.tasks.map(
        read_sayings, _parts(comparing.census, _flags(comparing.census, rows))
    ):
        sayings.extend(part)
    return sayings


class SpilledSayings:
    """What rows said: digests in memory, shingles in a file once they are many."""

    def __init__(self) -> None:
        self._places: dict[int, int] = {}
        self._digests: list[bytes] = []
        self._shingles = Spill(np.uint64)

    def extend(self, part: PartSayings) -> None:
        """Add rows."""
        for row in part.rows.tolist():
            self._places[row] = len(self._places)
        self._digests += part.digests
        self._shingles.extend(part.shingles, part.sizes)

    def __getitem__(self, row: int) -> Said:
        place = self._places[row]
        return Said(self._digests[place], self._shingles[place])
