"""Comparisons: from rows to the rules of a sweep, with exact evidence for the few that meet."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pipeline.curate.bands import BANDS
from pipeline.curate.mixing import Hashes
from pipeline.curate.whole_run.band_table import (
    CHECK_BITS,
    ENTRY,
    Entries,
    crowded,
    least_equal_bits,
)
from pipeline.curate.whole_run.likeness import (
    ConversationLikeness,
    Said,
    TurnLikeness,
    VectorLikeness,
)
from pipeline.curate.whole_run.meetings import KeyMeetings, Rarity, ShingleMeetings
from pipeline.curate.whole_run.planes import agreement, choose_bands
from pipeline.curate.whole_run.sweep import Meetings, Rule
from pipeline.pool.tasks import Tasks
from pipeline.refine.census import Census, Flags, Numbers
from pipeline.refine.traits import (
    Chosen,
    ChosenSayings,
    conversation_entries,
    read_sayings,
    read_vectors,
    turn_entries,
    vector_entries,
)
from pipeline.storage.spill import Spill
from schemas.refine_spec import RefineSpec

PARTITION_BYTES = 32 << 20
"""About so much of a band table is sorted at once."""

Split = Callable[[Chosen], list[Entries]]


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


def turn_rule(comparing: Comparing, turns: Flags) -> Rule:
    """Turns by text."""
    table = _meet_by_signature(comparing, turn_entries, turns)
    sayings = _sayings(comparing, _rows_of(table))

    def shingles_of(row: int) -> Hashes:
        return sayings[row].shingles

    meetings = _meetings(comparing, table, sayings, shingles_of, lambda row: 0)
    likeness = TurnLikeness(sayings)
    return Rule(meetings, likeness, comparing.threshold, "duplicate", "near_duplicate")


def conversation_rule(comparing: Comparing, answers: Flags) -> Rule:
    """Conversations by the answers that may be their last; those of one prompt only may meet."""
    table = _meet_by_signature(comparing, conversation_entries, answers)
    grove = comparing.census.grove
    turns = {turn for row in _rows_of(table).tolist() for turn in grove.path(row)}
    sayings = _sayings(comparing, np.array(sorted(turns), dtype=np.int64))
    likeness = ConversationLikeness(grove, sayings)

    def prompt_of(row: int) -> int:
        return int(grove.prompts_of(np.array(row)))

    meetings = _meetings(comparing, table, sayings, likeness.union, prompt_of)
    return Rule(meetings, likeness, comparing.threshold, "conversation", "conversation")


def _meetings(
    comparing: Comparing,
    table: Entries,
    sayings: "SpilledSayings",
    shingles_of: Callable[[int], Hashes],
    scope_of: Callable[[int], int],
) -> Meetings:
    if comparing.exact:
        return KeyMeetings(table, CHECK_BITS)
    rarity = Rarity()
    for shingles in sayings.chunks():
        rarity.add(shingles)
    threshold = comparing.spec.threshold
    return ShingleMeetings(_rows_of(table), shingles_of, rarity, threshold, scope_of)


def vector_rule(comparing: Comparing, turns: Flags, cosine: float) -> Rule:
    """Turns by their vectors."""
    bits, bands = choose_bands(cosine)
    split = partial(vector_entries, bits, bands)
    least = least_equal_bits(agreement(cosine))
    meetings = KeyMeetings(_meet(comparing, split, turns, bands, least), least)
    chosen = _chosen(comparing.census, _flags(comparing.census, meetings.rows))
    found = [some for some in comparing.tasks.map(read_vectors, chosen) if len(some.rows)]
    rows = np.concatenate([np.zeros(0, dtype=np.int64), *(some.rows for some in found)])
    vectors = [some.vectors for some in found] or [np.zeros((0, 0), dtype=np.int8)]
    return Rule(meetings, VectorLikeness(rows, np.concatenate(vectors)), cosine, "", "similar")


def _meet_by_signature(
    comparing: Comparing, split: Callable[[bool, int, Chosen], list[Entries]], wanted: Flags
) -> Entries:
    """The entries of rows that may be like another by their shingles."""
    if comparing.exact:
        return _meet(comparing, partial(split, True), wanted, 1, CHECK_BITS)
    least = least_equal_bits((1 + comparing.spec.threshold) / 2)
    return _meet(comparing, partial(split, False), wanted, BANDS, least)


def _meet(
    comparing: Comparing, split: Callable[..., list[Entries]], wanted: Flags, bands: int, least: int
) -> Entries:
    """The entries of rows that met another, by a key and at least so many equal check bits."""
    entries = int(np.count_nonzero(wanted)) * bands
    if not entries:
        return np.zeros(0, dtype=ENTRY)
    partitions = max(1, -(-entries * ENTRY.itemsize // comparing.partition_bytes))
    tables = comparing.tasks.shuffle(
        partial(split, partitions),
        _chosen(comparing.census, wanted),
        partial(crowded, least=least),
        partitions,
    )
    found: Entries = np.concatenate([np.zeros(0, dtype=ENTRY), *tables])
    return found


def _rows_of(table: Entries) -> Numbers:
    """The rows of entries, each once, in order."""
    return np.unique(table["row"]).astype(np.int64)


def _chosen(census: Census, wanted: Flags) -> Iterator[Chosen]:
    for number, cohort in enumerate(census.cohorts):
        own = census.flags_of(wanted, number)
        if own.any():
            yield Chosen(cohort, int(census.starts[number]), own)


def _flags(census: Census, rows: npt.NDArray[np.integer]) -> Flags:
    flags = np.zeros(len(census), dtype=bool)
    flags[rows] = True
    return flags


def _sayings(comparing: Comparing, rows: npt.NDArray[np.integer]) -> "SpilledSayings":
    sayings = SpilledSayings()
    for said in comparing.tasks.map(
        read_sayings, _chosen(comparing.census, _flags(comparing.census, rows))
    ):
        sayings.extend(said)
    return sayings


class SpilledSayings:
    """What rows said: digests in memory, shingles in a file once they are many."""

    def __init__(self) -> None:
        self._places: dict[int, int] = {}
        self._digests: list[bytes] = []
        self._shingles = Spill(np.uint64)

    def extend(self, said: ChosenSayings) -> None:
        """Add rows."""
        for row in said.rows.tolist():
            self._places[row] = len(self._places)
        self._digests += said.digests
        self._shingles.extend(said.shingles, said.sizes)

    def chunks(self) -> Iterator[Hashes]:
        """The shingles of all rows, many at once."""
        return self._shingles.chunks()

    def __getitem__(self, row: int) -> Said:
        place = self._places[row]
        return Said(self._digests[place], self._shingles[place])
