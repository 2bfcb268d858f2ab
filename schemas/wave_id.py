"""The name of a wave: its place in the plan's tree of waves."""

from collections.abc import Iterator
from typing import NamedTuple


class WaveId(NamedTuple):
    """`path[0]` is the cohort, each further number the block within the wave above."""

    path: tuple[int, ...]

    @property
    def cohort(self) -> int:
        """The cohort it belongs to."""
        return self.path[0]

    @property
    def level(self) -> int:
        """The level of the candidates it makes; the first wave of a cohort makes level 1."""
        return len(self.path)

    @property
    def parent(self) -> "WaveId | None":
        """The wave whose kept nodes are its parents; None for a cohort's first wave."""
        return WaveId(self.path[:-1]) if len(self.path) > 1 else None

    @property
    def lineage(self) -> "Iterator[WaveId]":
        """The cohort's first wave, and those on the way to this one, itself the last."""
        return (WaveId(self.path[:depth]) for depth in range(1, len(self.path) + 1))

    @property
    def name(self) -> str:
        """As it stands in file names."""
        cohort, *blocks = self.path
        return ".".join([f"{cohort:06d}", *(str(b) for b in blocks)])

    @classmethod
    def parse(cls, name: str) -> "WaveId":
        """The inverse of `name`."""
        return cls(tuple(int(part) for part in name.split(".")))

    def block(self, index: int) -> "WaveId":
        """Its child wave number `index`."""
        return WaveId((*self.path, index))
