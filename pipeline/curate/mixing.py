"""Hashing of 64-bit numbers, alone or in a row: every bit of a result depends on all of them."""

import numpy as np
import numpy.typing as npt

Hashes = npt.NDArray[np.uint64]

BASE = np.uint64(0xD1342543DE82EF95)
"""Of hashes of things in a row: each is multiplied by it before the next is added. Odd."""

_STEP = np.uint64(0x9E3779B97F4A7C15)
_FACTORS = (np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))
_SHIFTS = (np.uint64(30), np.uint64(27), np.uint64(31))


def mix(values: Hashes) -> Hashes:
    """SplitMix64 of each value, in place: a bijection of the 64-bit numbers."""
    values += _STEP
    shifted = np.right_shift(values, _SHIFTS[0])
    values ^= shifted
    values *= _FACTORS[0]
    np.right_shift(values, _SHIFTS[1], out=shifted)
    values ^= shifted
    values *= _FACTORS[1]
    np.right_shift(values, _SHIFTS[2], out=shifted)
    values ^= shifted
    return values


def hash_windows(items: Hashes, size: int) -> Hashes:
    """A hash of each `size` items in a row."""
    last = max(0, len(items) - size + 1)
    hashes = items[:last].copy()
    for offset in range(1, size):
        hashes *= BASE
        hashes += items[offset : offset + last]
    return mix(hashes)
