"""Hashing of 64-bit numbers: every bit of the result depends on every bit of the number."""

import numpy as np
import numpy.typing as npt

Hashes = npt.NDArray[np.uint64]

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
