"""The order in which rows of several parts are trained on (pure).

Each part is a stream: its rows shuffled by seed, then shuffled anew for the next pass. Streams are
woven together row by row, the next row always from the part that is furthest behind its share of
what was taken so far. So no part is ever more than one of its rows ahead, from the first row on.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from schemas.errors import SpecError
from schemas.sft_spec import MixSpec

Lengths = npt.NDArray[np.int64]
Places = npt.NDArray[np.int64]

_ROUNDING = 1e-9


class Ingredient(NamedTuple):
    """One part, as far as its place in the mixture goes."""

    name: str
    lengths: Lengths
    """Tokens of each of its rows."""
    share: float
    """Relative to the others'."""
    passes: float
    """At most so many times over its rows."""


class Order(NamedTuple):
    """Rows in the order of training, some more than once."""

    part: npt.NDArray[np.int16]
    row: Places


def blend(parts: Sequence[Ingredient], mix: MixSpec) -> Order:
    """The order of a mixture; a `SpecError` says by how much a part falls short."""
    _check_rows(parts)
    streams = [_Stream(number, part, mix) for number, part in enumerate(parts)]
    total = sum(part.share for part in parts)
    shares = [part.share / total for part in parts]
    least = streams[0].amount if mix.amount is None else 0
    wanted = mix.amount or least / shares[0]
    for stream, share in zip(streams, shares, strict=True):
        stream.check(wanted * share)
    part = np.fromiter(_picked(streams, shares, wanted - _ROUNDING * wanted, least), np.int16)
    row = np.empty(len(part), np.int64)
    for number, stream in enumerate(streams):
        places = np.flatnonzero(part == number)
        row[places] = stream.first(len(places))
    return Order(part, row)


def _check_rows(parts: Sequence[Ingredient]) -> None:
    if not parts:
        raise SpecError("parts: found none; expected at least one.")
    for part in parts:
        if not len(part.lengths):
            raise SpecError(
                f"parts.{part.name}: no row is left to train on; take the part out, or see that "
                "its source has rows."
            )


class _Stream:
    """The rows of one part, pass after pass."""

    def __init__(self, number: int, part: Ingredient, mix: MixSpec) -> None:
        self._number, self._part, self._mix = number, part, mix
        by_rows = mix.by == "rows"
        self._sizes = np.ones_like(part.lengths) if by_rows else part.lengths
        whole, rest = divmod(part.passes + _ROUNDING, 1.0)
        self._whole, self._rest = int(whole), int(rest * len(self._sizes) + _ROUNDING)
        if not self._whole:
            self._rest = max(1, self._rest)

    @property
    def amount(self) -> int:
        """How much there is of it in all passes, in rows or tokens."""
        rest = int(self._sizes[self._shuffled(self._whole)[: self._rest]].sum())
        return self._whole * int(self._sizes.sum()) + rest

    def sizes(self) -> Iterator[int]:
        """How much each of its rows is, in order."""
        for rows in self._passes():
            yield from self._sizes[rows].tolist()

    def first(self, count: int) -> Places:
        """The first so many of its rows."""
        taken, passes = [np.empty(0, np.int64)], self._passes()
        while count:
            taken.append(next(passes)[:count])
            count -= len(taken[-1])
        return np.concatenate(taken)

    def _passes(self) -> Iterator[Places]:
        for number in range(self._whole):
            yield self._shuffled(number)
        yield self._shuffled(self._whole)[: self._rest]

    def check(self, wanted: float) -> None:
        """Refuse to fall short by more than half a row."""
        part, there = self._part, self.amount
        one_pass = int(self._sizes.sum())
        if wanted - there <= one_pass / len(self._sizes) / 2:
            return
        rows, unit = f"{len(self._sizes):,} rows", self._mix.by
        has = rows if unit == "rows" else f"{rows} of {one_pass:,} tokens"
        raise SpecError(
            f"parts.{part.name}: it has {has}, and `passes` allows {part.passes:g} times as much; "
            f"the mixture needs {wanted:,.0f} {unit} of it, which is {wanted / one_pass:.2f} "
            "passes. Raise its `passes`, lower its `share`, set a lower mix.amount, or add rows."
        )

    def _shuffled(self, number: int) -> Places:
        # Unlike those of newer generators, the streams of this one never change.
        seeds = [self._mix.seed, self._number, number]
        return np.random.RandomState(seeds).permutation(len(self._sizes))


def _picked(
    streams: Sequence[_Stream], shares: Sequence[float], wanted: float, least: int
) -> Iterator[int]:
    """Which part each row is of, until there is as much as is wanted, and so much of the first."""
    sizes = [stream.sizes() for stream in streams]
    # Of parts that are as far behind as each other, that with the larger share goes first.
    open_parts = sorted(range(len(streams)), key=lambda part: -shares[part])
    used, total = [0] * len(streams), 0
    while open_parts and (total < wanted or used[0] < least):
        behind = max(open_parts, key=lambda part: shares[part] * total - used[part])
        size = next(sizes[behind], None)
        if size is None:
            open_parts.remove(behind)
            continue
        used[behind] += size
        total += size
        yield behind
