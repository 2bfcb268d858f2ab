"""How different texts are from each other, and how much each repeats itself."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
import numpy.typing as npt

from pipeline.curate.words import normalise

Vectors = npt.NDArray[np.floating]

SIZES = (1, 2, 3, 4)
_REPEATED_SIZE = 4
_LEAST_WORDS = 50


@dataclass(frozen=True)
class Diversity:
    """Of a sample of texts."""

    texts: int
    words: int
    """Of which the different n-grams were counted."""
    distinct: dict[str, float]
    """By n, the share of n-grams that are the first of their kind; comparable for as many words."""
    repetition: float
    """The share of a text's 4-grams of words that it has said before, the mean over texts."""
    similarity: float | None
    """The mean cosine of two different texts; None for less than two."""
    nearest: float | None
    """Of a text to the one that is most like it, the median."""


def words_of(text: str) -> list[str]:
    """As dedup sees them."""
    return normalise(text).split()


def least_words(levels: Iterable[Sequence[str]]) -> int:
    """How many words all of some samples have, those apart that hardly have any."""
    sizes = [sum(len(words_of(text)) for text in texts) for texts in levels]
    return min((size for size in sizes if size >= _LEAST_WORDS), default=0)


def diversity_of(texts: Sequence[str], vectors: Vectors, budget: int) -> Diversity:
    """Of texts in random order; n-grams are counted in the first so many words."""
    split = [words_of(text) for text in texts]
    counted = _first(split, budget)
    mean, nearest = similarities(vectors)
    return Diversity(
        texts=len(texts),
        words=sum(map(len, counted)),
        distinct={str(n): distinct(counted, n) for n in SIZES},
        repetition=float(np.mean([repetition(words) for words in split])) if split else 0.0,
        similarity=mean,
        nearest=nearest,
    )


def _first(texts: Sequence[list[str]], budget: int) -> list[list[str]]:
    """The texts until the words are used up, the last one cut."""
    found, left = [], budget
    for words in texts:
        found.append(words[:left])
        left -= len(found[-1])
        if left <= 0:
            break
    return found


def distinct(texts: Iterable[Sequence[str]], n: int) -> float:
    """The share of n-grams that no earlier one equals; 0 where there is none."""
    grams = list(chain.from_iterable(_grams(words, n) for words in texts))
    return len(set(grams)) / len(grams) if grams else 0.0


def repetition(words: Sequence[str], n: int = _REPEATED_SIZE) -> float:
    """The share of a text's n-grams that repeat an earlier one."""
    grams = _grams(words, n)
    return 1 - len(set(grams)) / len(grams) if grams else 0.0


def _grams(words: Sequence[str], n: int) -> list[tuple[str, ...]]:
    return [tuple(words[i : i + n]) for i in range(len(words) - n + 1)]


def similarities(vectors: Vectors) -> tuple[float | None, float | None]:
    """Mean cosine over pairs, and the median of each text's largest; None for less than two."""
    unit = units(vectors)
    if len(unit) < 2:
        return None, None
    cosines = unit @ unit.T
    pairs = len(unit) * (len(unit) - 1)
    mean = (float(cosines.sum()) - float(np.trace(cosines))) / pairs
    np.fill_diagonal(cosines, -1.0)
    return mean, float(np.median(cosines.max(axis=1)))


def units(vectors: Vectors) -> npt.NDArray[np.float64]:
    """Rows of unit length; those that are zero are left out."""
    wide = np.asarray(vectors, dtype=np.float64)
    lengths = np.linalg.norm(wide, axis=1, keepdims=True) if wide.size else wide[:, :1]
    known = lengths[:, 0] > 0 if wide.size else np.zeros(len(wide), dtype=bool)
    unit: npt.NDArray[np.float64] = wide[known] / lengths[known]
    return unit
