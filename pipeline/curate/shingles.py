"""Shingles: what two texts must have in common to be called near duplicates.

User turns are short, so theirs are five characters in a row; those of other turns are three words
in a row. Both stand in the normalised text. A text that is shorter than one shingle is one itself,
and one of one or two words has the characters'. A shingle is a 64-bit hash that depends on its
text alone.
"""

from collections.abc import Iterator, Sequence
from functools import cache

import numpy as np
import numpy.typing as npt

from pipeline.curate.mixing import BASE, Hashes, hash_windows, mix
from pipeline.curate.words import Words, code_points, collapse, find_words, fold, spell
from schemas.records import Role

Similarities = npt.NDArray[np.float64]

CHARACTERS = 5
WORDS = 3
_BLOCK = 1 << 15
"""Characters that are looked at together, for the sake of the cache."""
_INVERSE = np.uint64(pow(int(BASE), -1, 1 << 64))


def shingles(text: str, role: Role) -> Hashes:
    """Its distinct shingles, sorted; none if it is empty."""
    return shingle_sets([text], role)[0]


def shingle_sets(texts: Sequence[str], role: Role) -> list[Hashes]:
    """`shingles` of each text; much faster than one by one."""
    by_block = _by_characters if role == "user" else _by_words
    return [found for block in _blocks(texts) for found in by_block(block)]


def jaccard(a: Hashes, b: Hashes) -> float:
    """Shingles of both over those of either; two texts without any are the same."""
    either = len(a) + len(b)
    shared = _shared(a, b)
    return shared / (either - shared) if either else 1.0


def jaccards(own: Hashes, others: Sequence[Hashes]) -> Similarities:
    """`jaccard` of one set and each of some, at least one; much faster than one by one."""
    sizes = np.array([len(other) for other in others], dtype=np.int64)
    owners = np.repeat(np.arange(len(others)), sizes)
    flat = np.concatenate(others)
    if len(own):
        found = own.take(own.searchsorted(flat), mode="clip")
        owners = owners[found == flat]
    else:
        owners = owners[:0]
    shared = np.bincount(owners, minlength=len(others))
    either = sizes + len(own) - shared
    return np.where(either == 0, 1.0, shared / np.maximum(either, 1))


def containment(a: Hashes, b: Hashes) -> float:
    """The share of the shingles of `a` that `b` has too; a text without any is in every other."""
    return _shared(a, b) / len(a) if len(a) else 1.0


def _shared(a: Hashes, b: Hashes) -> int:
    both = np.concatenate([a, b])
    both.sort()
    return int(np.count_nonzero(both[1:] == both[:-1]))


def _blocks(texts: Sequence[str]) -> Iterator[Sequence[str]]:
    start, size = 0, 0
    for index, text in enumerate(texts):
        if size and size + len(text) > _BLOCK:
            yield texts[start:index]
            start, size = index, 0
        size += len(text)
    if start < len(texts):
        yield texts[start:]


def _by_words(texts: Sequence[str]) -> list[Hashes]:
    words = find_words([fold(text) for text in texts])
    starts, ends = words.firsts[:-1], words.firsts[1:]
    found = _windows(_hash_words(words), starts, ends, WORDS)
    short = np.flatnonzero(ends - starts < WORDS).tolist()
    if short:
        others = _by_characters([texts[index] for index in short])
        for index, other in zip(short, others, strict=True):
            found[index] = other
    return found


def _by_characters(texts: Sequence[str]) -> list[Hashes]:
    folded = [fold(text) for text in texts]
    codes, starts, ends = spell(find_words(folded))
    characters = _hash_characters(codes)
    found = _windows(characters, starts, ends, CHARACTERS)
    for index in np.flatnonzero(ends - starts < CHARACTERS).tolist():
        own = characters[starts[index] : ends[index]]
        found[index] = _few(own) if len(own) else _wordless(folded[index])
    return found


def _wordless(folded: str) -> Hashes:
    characters = _hash_characters(code_points(collapse(folded)))
    if len(characters) < CHARACTERS:
        return _few(characters)
    return np.unique(hash_windows(characters, CHARACTERS))


def _few(characters: Hashes) -> Hashes:
    """The one shingle of too few characters for one."""
    padded = np.zeros(CHARACTERS if len(characters) else 0, dtype=np.uint64)
    padded[: len(characters)] = characters
    return hash_windows(padded, CHARACTERS)


def _hash_characters(codes: npt.NDArray[np.unsignedinteger]) -> Hashes:
    """A hash of each character, never zero."""
    return mix(codes.astype(np.uint64))


def _hash_words(words: Words) -> Hashes:
    """A hash of each word, by its characters alone, wherever it stands."""
    powers, inverses = _powers(len(words.codes))
    sums = np.zeros(len(words.codes) + 1, dtype=np.uint64)
    terms = _hash_characters(words.codes)
    terms *= powers[: len(terms)]
    np.cumsum(terms, out=sums[1:])
    hashes = sums[words.ends] - sums[words.starts]
    hashes *= inverses[words.starts]
    return mix(hashes)


def _windows(
    items: Hashes, starts: npt.NDArray[np.intp], ends: npt.NDArray[np.intp], size: int
) -> list[Hashes]:
    """By text, the sorted distinct hashes of its windows of `size` items."""
    hashes = hash_windows(items, size)
    starts = np.minimum(starts, len(hashes))
    stops = np.maximum(starts, ends - size + 1)
    for start, stop in zip(starts.tolist(), stops.tolist(), strict=True):
        hashes[start:stop].sort()
    keep = np.ones(len(hashes), dtype=np.bool_)
    keep[1:] = hashes[1:] != hashes[:-1]
    # What stands before the first of a text lies across two texts.
    keep[starts[stops > starts]] = True
    places = np.zeros(len(hashes) + 1, dtype=np.intp)
    np.cumsum(keep, out=places[1:])
    distinct = hashes[keep]
    spans = zip(places[starts].tolist(), places[stops].tolist(), strict=True)
    return [distinct[start:stop] for start, stop in spans]


def _powers(count: int) -> tuple[Hashes, Hashes]:
    """Powers of the base and of its inverse, at least so many."""
    return _make_powers(max(_BLOCK << 1, 1 << count.bit_length()))


@cache
def _make_powers(count: int) -> tuple[Hashes, Hashes]:
    return _powers_of(BASE, count), _powers_of(_INVERSE, count)


def _powers_of(base: np.uint64, count: int) -> Hashes:
    row = np.full(count, base, dtype=np.uint64)
    row[0] = 1
    return np.multiply.accumulate(row)
