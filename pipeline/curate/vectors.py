"""Vectors as int8, and cosines that are the same number on every machine.

A dot product of int8 values is a sum of integers. In float32 it is exact while all its partial
sums stay within 2**24, whatever order BLAS adds in; longer vectors are multiplied in float64.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from schemas.measures import Vectors

Cosines = npt.NDArray[np.float64]

_LARGEST = 127
_EXACT_IN_FLOAT32 = 2**24 // 128**2
"""Dimensions."""
_BLOCK = 256
"""Rows whose cosines are worked out at once."""
_FEWEST, _MOST = 256, 4096
"""Members of a family whose dot products are all kept, for they are fewer than 2**24."""


def quantise(vectors: npt.NDArray[np.float32]) -> Vectors:
    """Each row scaled so that its largest number is 127, halves to even; zero rows stay zero."""
    if not np.isfinite(vectors).all():
        row = int(np.flatnonzero(~np.isfinite(vectors).all(axis=1))[0])
        raise ValueError(f"vector {row} holds a number that is not finite: the embedder is broken")
    wide = vectors.astype(np.float64)
    largest = np.abs(wide).max(axis=1, initial=0.0, keepdims=True)
    scaled = wide / np.where(largest == 0.0, 1.0, largest) * _LARGEST
    rounded: Vectors = np.rint(scaled).astype(np.int8)
    return rounded


def cosines(left: Vectors, right: Vectors) -> Cosines:
    """Of each row of one with each row of the other; 0.0 where either is zero."""
    return Directions(left).cosines(Directions(right))


class Directions:
    """Vectors made ready to be compared."""

    def __init__(self, vectors: Vectors) -> None:
        long = vectors.shape[1] > _EXACT_IN_FLOAT32
        self._numbers: npt.NDArray[np.floating[Any]] = vectors.astype(
            np.float64 if long else np.float32
        )
        self._blocks: dict[int, npt.NDArray[np.floating[Any]]] = {}
        squares = np.vecdot(self._numbers, self._numbers).astype(np.float64)
        # A zero row has no dot product but 0, so any divisor will do.
        self._squares = np.where(squares == 0.0, 1.0, squares)

    @property
    def known(self) -> bool:
        """Whether there are vectors at all; without dimensions nothing can be compared."""
        return bool(self._numbers.shape[1])

    def __len__(self) -> int:
        return len(self._numbers)

    def __getitem__(self, rows: slice | list[int]) -> "Directions":
        """Some of them."""
        picked = object.__new__(Directions)
        picked._numbers, picked._squares = self._numbers[rows], self._squares[rows]
        picked._blocks = {}
        return picked

    def with_one(self, row: int) -> Cosines:
        """Of each with one of them."""
        found: Cosines = self._dots(row) / np.sqrt(self._squares * self._squares[row])
        return found

    def _dots(self, row: int) -> npt.NDArray[np.floating[Any]]:
        """In a large family most rows are asked about, so they are worked out a block at a time."""
        dots: npt.NDArray[np.floating[Any]]
        if not _FEWEST <= len(self) <= _MOST:
            # In this thread: BLAS would start its own for each of thousands of short calls, which
            # takes twenty times as long where other processes use the cores.
            dots = np.vecdot(self._numbers, self._numbers[row])
            return dots
        number, place = divmod(row, _BLOCK)
        if number not in self._blocks:
            block = self._numbers[number * _BLOCK : (number + 1) * _BLOCK]
            self._blocks[number] = block @ self._numbers.T
        dots = self._blocks[number][place]
        return dots

    def cosines(self, others: "Directions") -> Cosines:
        """Of each with each of the others."""
        found = np.empty((len(self), len(others)))
        for start in range(0, len(self), _BLOCK):
            block = slice(start, start + _BLOCK)
            dots = self._numbers[block] @ others._numbers.T
            lengths = np.multiply.outer(self._squares[block], others._squares)
            np.divide(dots, np.sqrt(lengths, out=lengths), out=found[block])
        return found
