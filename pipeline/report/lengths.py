"""How long turns are: exact counts by length, in memory no larger than the longest turn."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

_BINS = 40

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Lengths:
    """In tokens."""

    count: int
    tokens: int
    mean: float
    p5: int
    median: int
    p95: int
    longest: int
    edges: tuple[int, ...]
    """Of the bins: one holds lengths from its edge up to the next one, that one left out."""
    counts: tuple[int, ...]


class LengthTally:
    """Adds lengths up, block by block."""

    def __init__(self) -> None:
        self._by_length: Ints = np.zeros(1, dtype=np.int64)

    def add(self, lengths: npt.NDArray[np.integer]) -> None:
        """Some more."""
        found = np.bincount(lengths, minlength=len(self._by_length)).astype(np.int64)
        found[: len(self._by_length)] += self._by_length
        self._by_length = found

    def lengths(self) -> Lengths:
        """What they come to."""
        counts = self._by_length
        total, values = int(counts.sum()), np.arange(len(counts))
        longest = int(np.flatnonzero(counts)[-1]) if total else 0
        width = max(1, -(-(longest + 1) // _BINS))
        edges = np.arange(0, longest + 1 + width, width)
        tokens = int(counts @ values)
        return Lengths(
            count=total,
            tokens=tokens,
            mean=tokens / total if total else 0.0,
            p5=_quantile(counts, 0.05),
            median=_quantile(counts, 0.5),
            p95=_quantile(counts, 0.95),
            longest=longest,
            edges=tuple(edges.tolist()),
            counts=tuple(np.add.reduceat(counts[: longest + 1], edges[:-1]).tolist()),
        )


def _quantile(counts: Ints, share: float) -> int:
    """The least length that so large a share of the turns does not exceed."""
    total = int(counts.sum())
    if not total:
        return 0
    return int(np.searchsorted(np.cumsum(counts), max(1, np.ceil(share * total))))
