"""Strings of characters come again and again.

ROOTS (Laurencon et al. 2022), the character repetition ratio: of all character 10-grams, the share
of the most frequent ones, as many as the square root of how many distinct ones there are, of those
that stand more than once. Its bound is 0.2, and 0.1 for some languages. What we changed for turns:
very short ones are not judged. Loops of more than 25 characters stay below the bound by nature, and
are what `repetition` finds. Scores `chars`, `char_repetition`.
"""

from collections.abc import Sequence
from math import isqrt

import numpy as np
import numpy.typing as npt

from pipeline.curate.filters.filter import Filter, Mask, always, score
from pipeline.curate.reading import Reading
from schemas.filter_spec import CharRepetitionSpec
from schemas.measures import Measures

WIDTH = 10
_FACTOR = 0xD1342543DE82EF95
_POWERS = {n: np.uint64(pow(_FACTOR, n, 2**64)) for n in (1, 2, 4)}


def _measure(reading: Reading, entries: Sequence[CharRepetitionSpec]) -> tuple[float, float]:
    return reading.num_chars, _ratio(reading.turn.text.strip())


def _ratio(text: str) -> float:
    counts = _counts(text)
    if not len(counts):
        return float("nan")
    total, repeated = int(counts.sum()), np.sort(counts[counts > 1])
    most = min(isqrt(len(counts)), len(repeated))
    return int(repeated[len(repeated) - most :].sum()) / total


def _counts(text: str) -> npt.NDArray[np.intp]:
    """How often each distinct 10-gram stands."""
    codes = np.frombuffer(text.encode("utf-32-le"), dtype="<u4").astype(np.uint64)
    if len(codes) < WIDTH:
        return np.empty(0, dtype=np.intp)
    hashes = np.sort(_hash_grams(codes))
    edges = np.flatnonzero(np.concatenate(([True], hashes[1:] != hashes[:-1], [True])))
    return edges[1:] - edges[:-1]


def _hash_grams(codes: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """A hash of each 10 characters: of 2 and 8 of them, 8 of 4 and 4, and so on."""
    two = codes[:-1] * _POWERS[1] + codes[1:]
    four = two[:-2] * _POWERS[2] + two[2:]
    eight = four[:-4] * _POWERS[4] + four[4:]
    return eight[:-2] * _POWERS[2] + two[8:]


def _drops(measures: Measures, spec: CharRepetitionSpec) -> Mask:
    judged = score(measures, "chars") >= spec.min_chars
    out: Mask = judged & (score(measures, "char_repetition") > spec.max_share)
    return out


CHAR_REPETITION = Filter(
    version=1, columns=always("chars", "char_repetition"), measure=_measure, drops=_drops
)
