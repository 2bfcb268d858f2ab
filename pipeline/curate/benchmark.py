"""Benchmark texts as hashes of n-grams of words, and which words of turns lie inside of them."""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from hashlib import blake2b

import numpy as np
import numpy.typing as npt

from pipeline.curate.mixing import Hashes, hash_windows
from pipeline.curate.words import normalise

SHORTEST_WHOLE = 8
"""Words of a benchmark text that is shorter than an n-gram, and counts nevertheless."""

_TAG = np.uint64(63)
"""The lowest bits of a hash say how many words it is of; 0 is how an n-gram begins."""
_BEGINNING = 0
_SPARSE = 3
"""The table of first bits has some 2**3 places a hash."""


def benchmark_index(texts: Iterable[str], ngram: int) -> Hashes:
    """The sorted distinct hashes of all n-grams of some texts; shorter texts count whole.

    The first words of each have hashes of their own, by which most turns are told to hold none.
    """
    least, found = min(ngram, SHORTEST_WHOLE), [np.empty(0, dtype=np.uint64)]
    for text in texts:
        words = _word_hashes(normalise(text).split())
        length = min(ngram, len(words))
        if length >= least:
            whole = hash_windows(words, length)
            found += [_tagged(whole, length)]
            found += [_tagged(hash_windows(words, least)[: len(whole)], _BEGINNING)]
    return np.unique(np.concatenate(found))


class Benchmark:
    """What `benchmark_index` made, ready to be looked things up in."""

    def __init__(self, index: Hashes) -> None:
        self._index = index
        lengths = set(np.unique(index & _TAG).tolist()) - {_BEGINNING}
        self._lengths = sorted(lengths)
        self._least = min(SHORTEST_WHOLE, *lengths) if lengths else SHORTEST_WHOLE
        bits = len(index).bit_length() + _SPARSE
        self._shift = np.uint64(64 - bits)
        self._first_bits = np.zeros(1 << bits, dtype=np.bool_)
        self._first_bits[index >> self._shift] = True

    def covered(self, turns: Sequence[list[str]]) -> list[int]:
        """By turn, how many of its words lie inside of n-grams of the benchmark."""
        words = _word_hashes([word for turn in turns for word in turn])
        ends = np.cumsum([len(turn) for turn in turns], dtype=np.intp)
        inside = np.zeros(len(words) + 1, dtype=np.int64)
        for start in self._beginnings(words).tolist():
            # An n-gram that reaches into the next turn is none.
            end = int(ends[np.searchsorted(ends, start, "right")])
            for length in self._lengths:
                if start + length <= end and self._holds(words[start : start + length], length):
                    inside[start] += 1
                    inside[start + length] -= 1
        sums = np.concatenate([[0], np.cumsum(np.cumsum(inside[:-1]) > 0)])
        edges = np.concatenate([[0], ends])
        covered: list[int] = np.diff(sums[edges]).tolist()
        return covered

    def _beginnings(self, words: Hashes) -> npt.NDArray[np.intp]:
        """Where an n-gram may begin."""
        hashes = _tagged(hash_windows(words, self._least), _BEGINNING)
        maybe = np.flatnonzero(self._first_bits[hashes >> self._shift])
        return maybe[self._among(hashes[maybe])]

    def _holds(self, words: Hashes, length: int) -> bool:
        return bool(self._among(_tagged(hash_windows(words, length), length))[0])

    def _among(self, hashes: Hashes) -> npt.NDArray[np.bool_]:
        if not len(self._index):
            return np.zeros(len(hashes), dtype=np.bool_)
        places = np.searchsorted(self._index, hashes)
        found: npt.NDArray[np.bool_] = self._index.take(places, mode="clip") == hashes
        return found


def _tagged(hashes: Hashes, tag: int) -> Hashes:
    return (hashes & ~_TAG) | np.uint64(tag)


def _word_hashes(words: list[str]) -> Hashes:
    return np.fromiter(map(_word_hash, words), dtype=np.uint64, count=len(words))


@lru_cache(maxsize=1 << 16)
def _word_hash(word: str) -> int:
    digest = blake2b(word.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big")
