"""An embedder that needs nothing: hashed character n-grams.

It knows letters, not meaning: turns that share words are close, paraphrases are not. All its
arithmetic up to the last division is on integers, so its vectors are the same on every machine.
"""

import unicodedata
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

VERSION = "hashing-1"
"""Of what the vectors are made of; a change to anything below is a new version."""

DIMENSIONS = 256
SIZES = (3, 4, 5)
"""Of n-grams, in characters."""

_UNIT = 1 << 8
"""Feature values are multiples of one over this."""

_BATCH_CHARS = 1 << 20

_ROW_BITS = 24
_GRAM_BITS = np.uint64(64 - _ROW_BITS)
_GRAM_MASK = (np.uint64(1) << _GRAM_BITS) - np.uint64(1)

Uints = npt.NDArray[np.uint64]


class HashingEmbedder:
    """Each distinct n-gram adds or takes the root of its count in one of the dimensions."""

    def embed(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """Rows of unit length; zero for a text without visible characters."""
        batches = [_embed(batch) for batch in _batches([_padded(text) for text in texts])]
        return np.concatenate([np.zeros((0, DIMENSIONS), np.float32), *batches])


def _padded(text: str) -> str:
    """One spelling, one kind of space, and one at either end; empty if nothing is to be seen."""
    words = unicodedata.normalize("NFKC", text).casefold().split()
    return f" {' '.join(words)} " if words else ""


def _batches(texts: Sequence[str]) -> Iterator[Sequence[str]]:
    """Texts in order, as many at once as memory likes."""
    start = chars = 0
    for index, text in enumerate(texts):
        chars += len(text)
        if chars > _BATCH_CHARS or index - start == 1 << (_ROW_BITS - 1):
            yield texts[start:index]
            start, chars = index, len(text)
    yield texts[start:]


def _embed(texts: Sequence[str]) -> npt.NDArray[np.float32]:
    grams, counts = np.unique(_grams(texts), return_counts=True)
    rows = (grams >> _GRAM_BITS).astype(np.int64)
    places = rows * DIMENSIONS + (grams % np.uint64(DIMENSIONS)).astype(np.int64)
    signs = np.where(grams >> np.uint64(8) & np.uint64(1), 1.0, -1.0)
    values = signs * np.rint(np.sqrt(counts) * _UNIT)
    # Sums of integers are exact in float64, in whatever order they are taken.
    sums = np.bincount(places, weights=values, minlength=len(texts) * DIMENSIONS)
    vectors = sums.reshape(len(texts), DIMENSIONS)
    lengths = np.sqrt((vectors.astype(np.int64) ** 2).sum(axis=1)).astype(np.float64)
    unit: npt.NDArray[np.float32] = (vectors / np.maximum(lengths, 1.0)[:, None]).astype(np.float32)
    return unit


def _grams(texts: Sequence[str]) -> Uints:
    """All n-grams of all texts: the row in the high bits, the hash of the n-gram in the others."""
    codes = np.frombuffer("".join(texts).encode("utf-32-le", "surrogatepass"), dtype="<u4")
    lengths = np.array([len(text) for text in texts], dtype=np.int64)
    rows = np.repeat(np.arange(len(texts), dtype=np.uint64), lengths)
    left = np.repeat(np.cumsum(lengths), lengths) - np.arange(len(codes))
    hashes = np.zeros(len(codes), dtype=np.uint64)
    found: list[Uints] = []
    for size in range(1, max(SIZES) + 1):
        starts = max(0, len(codes) - size + 1)
        hashes = _mix(hashes[:starts] + codes[size - 1 :].astype(np.uint64))
        if size in SIZES:
            whole = left[:starts] >= size
            found.append(rows[:starts][whole] << _GRAM_BITS | hashes[whole] & _GRAM_MASK)
    return np.concatenate(found)


def _mix(values: Uints) -> Uints:
    """Scatters 64 bits over 64 bits, one to one (the finaliser of splitmix64)."""
    values = values + np.uint64(0x9E3779B97F4A7C15)
    values = (values ^ values >> np.uint64(30)) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ values >> np.uint64(27)) * np.uint64(0x94D049BB133111EB)
    return values ^ values >> np.uint64(31)
