"""Waves in parts: so that all workers share one wave, and a lost worker costs little.

Every wave is cut alike, however many workers there are: the last digits of some embedders depend
on what is embedded together.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from pipeline.pool.workers import Measured
from schemas.errors import PoolError
from schemas.measures import Measures, Turns, join_measures

PART_TURNS = 128
"""A part's sending costs as much as measuring a few turns."""

ATTEMPTS = 3
"""Workers that may be lost over one part, or one after the other while they start."""


class WorkerLimits(NamedTuple):
    """How long workers may be silent."""

    part_s: float = 180.0
    """Over one part."""
    start_s: float = 900.0

    def over_part(self) -> str:
        """What is said of a worker that took too long over a part."""
        return f"had not answered after {self.part_s:g} s (`execution.stall_s`)"

    def at_start(self) -> str:
        """What is said of one that took too long to start."""
        return f"had not started after {self.start_s:g} s (`execution.start_s`)"


class Part(NamedTuple):
    """Some turns in a row of one wave."""

    wave: str
    number: int
    """Which part of the wave it is."""
    turns: Turns
    losses: int = 0
    """Workers lost over it."""

    def __str__(self) -> str:
        ids = self.turns.node_ids
        return f"wave {self.wave}, nodes {ids[0]} to {ids[-1]}" if ids else f"wave {self.wave}"

    def lost(self, how: str) -> "Part":
        """The same part for another worker; raises once too many were lost."""
        if self.losses + 1 >= ATTEMPTS:
            raise PoolError(
                f"{ATTEMPTS} workers were lost while they measured {self}; the last one {how}. "
                "Where memory ran out, run fewer of them (`execution.workers`) or free some; where "
                "they are only slow, raise `execution.stall_s`; else look at those turns."
            )
        return self._replace(losses=self.losses + 1)


def cut(wave: str, turns: Turns) -> list[Part]:
    """A wave's parts in order; a wave without turns has one without turns."""
    starts = range(0, max(1, len(turns)), PART_TURNS)
    return [
        Part(wave, number, _own(turns.part(start, start + PART_TURNS)))
        for number, start in enumerate(starts)
    ]


def _own(turns: Turns) -> Turns:
    """Without the parents of other parts: what is above is most of what is sent."""
    if not len(turns):
        return turns
    first, last = int(turns.families.min()), int(turns.families.max())
    return replace(
        turns,
        families=turns.families - first,
        above=turns.above[first : last + 1],
        references=turns.references[first : last + 1],
    )


class Assembly:
    """Puts measured parts together to waves."""

    def __init__(self) -> None:
        self._open: dict[str, dict[int, Measures]] = {}
        self._sizes: dict[str, int] = {}

    def expect(self, parts: Sequence[Part]) -> None:
        """All parts of one wave, to be measured."""
        wave = parts[0].wave
        if wave in self._open:
            raise PoolError(f"wave {wave} was submitted twice; submit each wave once.")
        self._open[wave] = {}
        self._sizes[wave] = len(parts)

    def put(self, part: Part, measures: Measures) -> Measured | None:
        """One measured part; the wave if it was the last."""
        done = self._open[part.wave]
        done[part.number] = measures
        if len(done) < self._sizes[part.wave]:
            return None
        del self._open[part.wave], self._sizes[part.wave]
        return Measured(part.wave, join_measures([done[number] for number in sorted(done)]))
