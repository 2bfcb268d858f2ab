"""How much of its shingles one turn has in common with each of many."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from pipeline.curate.mixing import Hashes

Similarities = npt.NDArray[np.float64]


def jaccards(own: Hashes, others: Sequence[Hashes]) -> Similarities:
    """Exact similarity of one set to each of some, at least one; two empty sets are the same."""
    sizes = np.array([len(other) for other in others])
    shared = _shared(own, np.concatenate(others), np.cumsum(sizes))
    either = sizes + len(own) - shared
    return np.where(either == 0, 1.0, shared / np.maximum(either, 1))


def _shared(own: Hashes, flat: Hashes, ends: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """How many of its shingles stand in each part of `flat`; the sums at the ends tell."""
    counts = np.zeros(len(flat) + 1, dtype=np.int64)
    if len(own):
        found = own.take(own.searchsorted(flat), mode="clip")
        np.cumsum(found == flat, out=counts[1:])
    return np.diff(counts[ends], prepend=0)
