"""MinHash signatures: how alike two signatures are estimates how alike two shingle sets are.

The numbers are those of datasketch's scheme `affine32` with seed 1, so that other tools can go on
from them; tests hold the two together.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pipeline.curate.mixing import Hashes
from pipeline.curate.shingles import CHARACTERS, WORDS
from schemas.measures import Signatures

PERMUTATIONS = 125
SEED = 1
DESCRIPTION = (
    f"MinHash affine32, {PERMUTATIONS} permutations, seed {SEED}, of the upper 32 bits of 64-bit "
    f"shingle hashes: {CHARACTERS} characters in user turns, {WORDS} words in others, after NFKC "
    "and case folding"
)
"""What made the numbers, for the metadata of files that hold them."""

_EMPTY = np.uint32(0xFFFFFFFF)
_BLOCK = 1 << 17
"""Shingles that are permuted together, for the sake of the cache."""
_ROWS = 32
"""About how many shingles of one set are permuted before their least is taken."""
_MOST_LEVELS = 64


class _Columns(NamedTuple):
    """Some shingle sets cut into columns of one length: all first columns, all second ones, ...

    Sets come by falling size, so those that have a second column are the first of those that have
    a first, and so on.
    """

    hashes: npt.NDArray[np.uint32]
    """rows x columns"""
    widths: list[int]
    """How many sets have a first column, a second, ..."""


def signatures(sets: Sequence[Hashes]) -> Signatures:
    """A row of `PERMUTATIONS` for each set of shingles; all ones for an empty set."""
    found = np.full((len(sets), PERMUTATIONS), _EMPTY, dtype=np.uint32)
    sizes = np.array([len(shingles) for shingles in sets], dtype=np.intp)
    for rows in _blocks(sizes):
        columns = _cut([sets[row] for row in rows.tolist()], sizes[rows])
        found[rows] = _minima(columns).T
    return found


def merge(rows: Signatures) -> npt.NDArray[np.uint32]:
    """The signature of the union of the sets of which these are the signatures."""
    union: npt.NDArray[np.uint32] = np.minimum.reduce(rows, axis=0, initial=_EMPTY)
    return union


def _blocks(sizes: npt.NDArray[np.intp]) -> Iterator[npt.NDArray[np.intp]]:
    """Rows that are not empty, by falling size, so many that the cache holds them."""
    order = np.argsort(-sizes, kind="stable")
    order = order[: np.count_nonzero(sizes)]
    totals = np.cumsum(sizes[order])
    start = 0
    while start < len(order):
        before = totals[start] - sizes[order[start]]
        stop = max(start + 1, int(np.searchsorted(totals, before + _BLOCK, side="right")))
        yield order[start:stop]
        start = stop


def _cut(sets: Sequence[Hashes], sizes: npt.NDArray[np.intp]) -> _Columns:
    folded = _premix(np.concatenate(sets))
    largest = int(sizes[0])
    levels = min(_MOST_LEVELS, _over(largest, _ROWS))
    rows = _over(largest, levels)
    widths = [int(np.count_nonzero(sizes > level * rows)) for level in range(levels)]
    members = np.concatenate([np.arange(width) for width in widths])
    ends = np.cumsum(sizes)
    firsts = (ends - sizes)[members] + np.repeat(np.arange(len(widths)) * rows, widths)
    # The last column of a set is filled up with its last shingle, which changes no minimum.
    places = np.minimum(firsts + np.arange(rows)[:, None], ends[members] - 1)
    return _Columns(folded.take(places), widths)


def _over(count: int, share: int) -> int:
    """How many shares it takes to hold so many."""
    return -(-count // share)


def _premix(shingles: Hashes) -> npt.NDArray[np.uint32]:
    """The upper halves, after MurmurHash3's finaliser."""
    values = (shingles >> np.uint64(32)).astype(np.uint32)
    values ^= values >> np.uint32(16)
    values *= np.uint32(0x85EBCA6B)
    values ^= values >> np.uint32(13)
    values *= np.uint32(0xC2B2AE35)
    values ^= values >> np.uint32(16)
    return values


def _minima(columns: _Columns) -> Signatures:
    """PERMUTATIONS x sets: the least value of each permutation."""
    rows, width = columns.hashes.shape
    together = min(PERMUTATIONS, max(1, _BLOCK // (rows * width)))
    scratch = np.empty((together, rows * width), dtype=np.uint32)
    least = np.empty((PERMUTATIONS, width), dtype=np.uint32)
    for start in range(0, PERMUTATIONS, together):
        some = slice(start, min(start + together, PERMUTATIONS))
        values = scratch[: some.stop - start]
        np.multiply(_FACTORS[some, None], columns.hashes.reshape(1, -1), out=values)
        np.add(values, _TERMS[some, None], out=values)
        np.minimum.reduce(values.reshape(-1, rows, width), axis=1, out=least[some])
    return _fold_levels(least, columns.widths)


def _fold_levels(least: Signatures, widths: Sequence[int]) -> Signatures:
    first = least[:, : widths[0]]
    start = widths[0]
    for width in widths[1:]:
        part = first[:, :width]
        np.minimum(part, least[:, start : start + width], out=part)
        start += width
    return first


def _draw_permutations() -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.uint32]]:
    """Factors, which are odd, and terms."""
    # The legacy generator is frozen: its numbers are the same in every version of numpy.
    draw = np.random.RandomState(SEED)
    halves = draw.randint(0, 1 << 31, PERMUTATIONS, dtype=np.uint32)
    terms = draw.randint(0, 1 << 32, PERMUTATIONS, dtype=np.uint32)
    return halves * np.uint32(2) + np.uint32(1), terms


_FACTORS, _TERMS = _draw_permutations()
