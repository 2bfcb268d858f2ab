"""Turns as filters read them: what several filters want to know is worked out once.

Some of it costs a tenth when it is worked out for many turns together, so turns are read in blocks.
What is said of a turn depends on nothing but the turn.
"""

from collections.abc import Sequence
from functools import cached_property

import numpy as np
import numpy.typing as npt

from pipeline.curate.benchmark import Benchmark
from pipeline.curate.mixing import Hashes
from pipeline.curate.shingles import shingle_sets
from pipeline.curate.words import collapse, find_words, fold, spell
from schemas.dialect import Dialect
from schemas.measures import Turn
from schemas.records import Role


class Block:
    """Some turns, and what is worked out for all of them when it is first asked for."""

    def __init__(
        self, turns: Sequence[Turn], *dialects: Dialect, benchmark: Benchmark | None = None
    ) -> None:
        self.turns, self.dialects, self._benchmark = turns, dialects, benchmark
        self._shingles: dict[tuple[int, bool], list[Hashes]] = {}

    def readings(self) -> "list[Reading]":
        """One of each turn."""
        return [Reading(turn, self, index) for index, turn in enumerate(self.turns)]

    @cached_property
    def normalised(self) -> list[str]:
        """By turn, what `normalise` makes of its text."""
        folded = [fold(turn.text) for turn in self.turns]
        spelled = spell(find_words(folded))
        text = _decode(spelled.codes)
        edges = zip(spelled.starts.tolist(), spelled.ends.tolist(), strict=True)
        return [
            text[start:end] or collapse(own)
            for own, (start, end) in zip(folded, edges, strict=True)
        ]

    @cached_property
    def words(self) -> list[list[str]]:
        """By turn, those of its normalised text; in scripts without spaces, its letters."""
        return [text.split() for text in self.normalised]

    @cached_property
    def benchmark_words(self) -> list[int]:
        """By turn, how many of its words stand in a benchmark."""
        if self._benchmark is None:
            return [0] * len(self.turns)
        return self._benchmark.covered(self.words)

    def shingles(self, role: Role, *, back: int = 0) -> list[Hashes]:
        """By turn, those of its own text, or of the text so many turns before it.

        As the turns of a role are shingled; none where nothing was said so long before.
        """
        key = back, role == "user"
        if key not in self._shingles:
            texts = [_said(turn, back) for turn in self.turns]
            distinct = list(dict.fromkeys(texts))
            found = dict(zip(distinct, shingle_sets(distinct, role), strict=True))
            self._shingles[key] = [found[text] for text in texts]
        return self._shingles[key]


class Reading:
    """One turn, and what can be said of its text."""

    def __init__(self, turn: Turn, block: Block, index: int = 0) -> None:
        self.turn, self._block, self._index = turn, block, index

    @property
    def dialect(self) -> Dialect:
        """Whose markers and stops the turn was sampled with."""
        return self._block.dialects[self.turn.tongue]

    @property
    def num_tokens(self) -> int:
        """Tokens sampled after the reasoning."""
        return max(0, len(self.turn.token_ids) - self.turn.reasoning_tokens)

    @cached_property
    def num_chars(self) -> int:
        """Characters, white space around the text left aside."""
        return len(self.turn.text.strip())

    @cached_property
    def pieces(self) -> list[str]:
        """What stands between white space, as it was written."""
        return self.turn.text.split()

    @cached_property
    def lines(self) -> list[str]:
        """Lines that hold something, without white space around them."""
        return [line for raw in self.turn.text.splitlines() if (line := raw.strip())]

    @property
    def normalised(self) -> str:
        """The text without differences of case, punctuation and spacing."""
        return self._block.normalised[self._index]

    @property
    def words(self) -> list[str]:
        """Of the normalised text; in scripts without spaces, its letters."""
        return self._block.words[self._index]

    @cached_property
    def vocabulary(self) -> frozenset[str]:
        """Its distinct words."""
        return frozenset(self.words)

    @property
    def num_benchmark_words(self) -> int:
        """Words inside of n-grams that a benchmark has too."""
        return self._block.benchmark_words[self._index]

    def shingles(self, role: Role, *, back: int = 0) -> Hashes:
        """Those of its text, or of the text so many turns before, as turns of a role have them."""
        return self._block.shingles(role, back=back)[self._index]


def _said(turn: Turn, back: int) -> str:
    if not back:
        return turn.text
    before = turn.before
    return before[-back] if back <= len(before) else ""


def _decode(codes: npt.NDArray[np.unsignedinteger]) -> str:
    if codes.itemsize == 1:
        return codes.tobytes().decode("latin-1")
    return codes.tobytes().decode("utf-32-le", "surrogatepass")
