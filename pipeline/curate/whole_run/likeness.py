"""Exact comparisons of rows: turns by their shingles or vectors, conversations by all their turns.

A comparison takes one row and those that it may repeat, so that numpy sees them together.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple, Protocol

import numpy as np

from pipeline.curate.mixing import Hashes
from pipeline.curate.shingles import Similarities, jaccards
from pipeline.curate.vectors import cosines
from pipeline.curate.whole_run.grove import Grove
from pipeline.curate.whole_run.sweep import Flags, Numbers
from schemas.measures import Vectors

_UNIONS_HELD = 4096


class Said(NamedTuple):
    """What a turn said, as it is compared."""

    digest: bytes
    """Of its text without the white space around it."""
    shingles: Hashes


class Sayings(Protocol):
    """What rows said, by row; may lie outside of memory."""

    def __getitem__(self, row: int) -> Said: ...


class TurnLikeness:
    """Turns by text: equal, or by the shingles they share."""

    def __init__(self, sayings: Sayings) -> None:
        self._sayings = sayings

    def same(self, row: int, others: Numbers) -> Flags:
        """Equal texts."""
        own = self._sayings[row].digest
        return np.array([self._sayings[other].digest == own for other in others.tolist()])

    def similarities(self, row: int, others: Numbers) -> Similarities:
        """Jaccard."""
        sets = [self._sayings[other].shingles for other in others.tolist()]
        return jaccards(self._sayings[row].shingles, sets)


class ConversationLikeness:
    """Conversations from the opening to a row: turn by turn equal, or by all their shingles.

    Those that answer different prompts are never alike.
    """

    def __init__(self, grove: Grove, sayings: Sayings) -> None:
        self._grove, self._sayings = grove, sayings
        self.union: Callable[[int], Hashes] = lru_cache(_UNIONS_HELD)(self._unite)
        """The shingles of all turns from the opening to a row."""

    def same(self, row: int, others: Numbers) -> Flags:
        """As many turns, all equal."""
        own = self._digests(row)
        equal = np.array([self._digests(other) == own for other in others.tolist()], dtype=bool)
        return equal & self._answer_same(row, others)

    def similarities(self, row: int, others: Numbers) -> Similarities:
        """Jaccard of the unions of their turns' shingles."""
        found = jaccards(self.union(row), [self.union(other) for other in others.tolist()])
        return np.where(self._answer_same(row, others), found, 0.0)

    def _answer_same(self, row: int, others: Numbers) -> Flags:
        prompts = self._grove.prompts_of(np.append(others, row))
        found: Flags = prompts[:-1] == prompts[-1]
        return found

    def _digests(self, row: int) -> list[bytes]:
        return [self._sayings[turn].digest for turn in self._grove.path(row)]

    def _unite(self, row: int) -> Hashes:
        found: Hashes = np.unique(
            np.concatenate([self._sayings[turn].shingles for turn in self._grove.path(row)])
        )
        return found


class VectorLikeness:
    """Turns by the cosine of their vectors."""

    def __init__(self, rows: Numbers, vectors: Vectors) -> None:
        """`rows` are in order, `vectors` theirs."""
        self._rows, self._vectors = rows, vectors

    def same(self, row: int, others: Numbers) -> Flags:
        """Never: equal vectors may be of different texts."""
        return np.zeros(len(others), dtype=bool)

    def similarities(self, row: int, others: Numbers) -> Similarities:
        """Cosines."""
        places = np.searchsorted(self._rows, others)
        own = int(np.searchsorted(self._rows, row))
        found: Similarities = cosines(self._vectors[own : own + 1], self._vectors[places])[0]
        return found
