"""Random hyperplanes: keys that vectors of a small angle share.

A bit of a vector is the side of a plane that it lies on; two vectors agree in it with chance
1 - angle / pi. The planes have coordinates 1 and -1, so with int8 vectors every sum is a whole
number and every bit the same on every machine.
"""

import hashlib
import math
from functools import cache

import numpy as np
import numpy.typing as npt

from pipeline.curate.mixing import mix
from pipeline.curate.whole_run.band_table import CHECK_BITS, Keys, pack_checks
from schemas.measures import Vectors

RECALL = 0.99
"""Share of the pairs just at the threshold that share a key."""
MOST_BANDS = 128
MOST_BITS = 48

_ROWS_AT_ONCE = 4096


def agreement(cosine: float) -> float:
    """The chance that a bit agrees for vectors of this cosine."""
    return 1 - math.acos(max(-1.0, min(1.0, cosine))) / math.pi


def choose_bands(cosine: float) -> tuple[int, int]:
    """Bits of a key, and keys: as many bits as RECALL allows with at most MOST_BANDS keys.

    More bits let fewer vectors meet that are not alike.
    """
    for bits in range(MOST_BITS, 0, -1):
        shared = agreement(cosine) ** bits
        bands = 1 if shared == 1 else math.ceil(math.log(1 - RECALL) / math.log(1 - shared))
        if bands <= MOST_BANDS:
            return bits, bands
    return 1, MOST_BANDS


def vector_keys(vectors: Vectors, bits: int, bands: int) -> tuple[Keys, Keys]:
    """Keys, a line of `bands` a vector, and check bits of other planes."""
    planes = _planes(vectors.shape[1], bits * bands + CHECK_BITS)
    keys = np.empty((len(vectors), bands), dtype=np.uint64)
    checks = np.empty(len(vectors), dtype=np.uint64)
    for start in range(0, len(vectors), _ROWS_AT_ONCE):
        rows = slice(start, start + _ROWS_AT_ONCE)
        sides = (vectors[rows].astype(np.float32) @ planes) >= 0
        checks[rows] = pack_checks(sides[:, bits * bands :])
        keys[rows] = _numbers(sides[:, : bits * bands].reshape(len(sides), bands, bits))
    keys ^= mix(np.arange(bands, dtype=np.uint64))
    return mix(keys), checks


def _numbers(bits: npt.NDArray[np.bool_]) -> Keys:
    """The bits of the last axis as one number each."""
    weights = np.uint64(1) << np.arange(bits.shape[-1], dtype=np.uint64)
    numbers: Keys = bits.astype(np.uint64) @ weights
    return numbers


@cache
def _planes(dimensions: int, count: int) -> npt.NDArray[np.float32]:
    """The same in every version of numpy: its generators make no such promise."""
    needed = -(-dimensions * count // 8)
    stream = hashlib.shake_128(f"hyperplanes {dimensions}".encode()).digest(needed)
    bits = np.unpackbits(np.frombuffer(stream, dtype=np.uint8))[: dimensions * count]
    # A plane is a column, and further planes leave the first ones as they are.
    return bits.reshape(count, dimensions).T.astype(np.float32) * 2 - 1
