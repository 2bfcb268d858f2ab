"""What repeats what: how large the groups around one keeper are, and how alike their turns."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from heapq import nlargest
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from schemas.records import Role

Show = Callable[[Role, str], str]
"""A text as readers may see it."""

_BINS = 20
_LARGEST = 6
_SURPLUS = "surplus"
"""Names what it is most like, which is no reason to fall."""
_SHOWN = 4


@dataclass(frozen=True)
class Group:
    """A kept turn, and some of those that fell beside it."""

    keeper_id: str
    size: int
    """Turns that fell for it."""
    text: str
    said_again: tuple[tuple[float | None, str], ...]
    """How alike to the keeper, and the text."""


@dataclass(frozen=True)
class RepeatGroups:
    """Over a whole run, drops while it grew and drops of refinements apart."""

    dropped: int
    """Turns that fell for a keeper."""
    keepers: int
    sizes: dict[int, int]
    """By turns that fell for one keeper, how many keepers."""
    similarities: dict[str, tuple[int, ...]]
    """By reason, how many turns by how alike they are: 20 equal bins from 0 to 1. Surplus
    turns are among them, beside the kept one that is most like each."""
    largest: tuple[Group, ...]


class _Remembered(NamedTuple):
    size: int
    keeper: str
    wave: str
    said_again: tuple[tuple[float | None, Role, str], ...]


class RepeatTally:
    """Adds up shard by shard. A keeper of a wave is of that wave or above it in its tree, so each
    shard counts for itself what fell in it."""

    def __init__(self) -> None:
        self._dropped = self._keepers = 0
        self._sizes: Counter[int] = Counter()
        self._similarities: dict[str, np.ndarray] = {}
        self._largest: list[_Remembered] = []

    def add(self, rows: pa.Table, wave: str = "") -> None:
        """Rows of a wave with `drop_reason, keeper_id, similarity, role, text`; those without a
        keeper count not, and without a wave no text is looked at."""
        fell = rows.filter(pc.is_valid(rows.column("keeper_id")))
        if not fell.num_rows:
            return
        self._compare(fell)
        repeats = fell.filter(pc.not_equal(fell.column("drop_reason"), _SURPLUS))
        keepers = Counter(repeats.column("keeper_id").to_pylist())
        self._dropped += repeats.num_rows
        self._keepers += len(keepers)
        self._sizes.update(keepers.values())
        if wave:
            self._remember(repeats, keepers, wave)

    def _compare(self, fell: pa.Table) -> None:
        for reason in pc.unique(fell.column("drop_reason")).to_pylist():
            alike = fell.filter(pc.equal(fell.column("drop_reason"), reason)).column("similarity")
            known = np.clip(pc.drop_null(alike).to_numpy(), 0, 1)
            counts = np.histogram(known, bins=_BINS, range=(0, 1))[0]
            self._similarities[reason] = self._similarities.get(reason, 0) + counts

    def _remember(self, fell: pa.Table, keepers: Mapping[str, int], wave: str) -> None:
        for keeper, size in nlargest(_LARGEST, keepers.items(), key=lambda pair: pair[1]):
            if len(self._largest) < _LARGEST or size > self._largest[-1].size:
                own = fell.filter(pc.equal(fell.column("keeper_id"), keeper)).slice(0, _SHOWN)
                columns = (own.column(name).to_pylist() for name in ("similarity", "role", "text"))
                again = tuple(zip(*columns, strict=True))
                self._largest.append(_Remembered(size, keeper, wave, again))
        self._largest = sorted(self._largest, key=lambda one: (-one.size, one.keeper))[:_LARGEST]

    def keepers(self) -> dict[str, str]:
        """Whose texts are to be looked up, and the wave in which turns fell for them."""
        return {one.keeper: one.wave for one in self._largest}

    def groups(self, texts: Mapping[str, str], show: Show) -> RepeatGroups:
        """What it comes to, with the texts of keepers."""
        return RepeatGroups(
            dropped=self._dropped,
            keepers=self._keepers,
            sizes=dict(sorted(self._sizes.items())),
            similarities={
                name: tuple(int(n) for n in counts)
                for name, counts in sorted(self._similarities.items())
            },
            largest=tuple(
                Group(
                    one.keeper,
                    one.size,
                    texts.get(one.keeper, ""),
                    tuple((alike, show(role, text)) for alike, role, text in one.said_again),
                )
                for one in self._largest
            ),
        )


def bands(sizes: Mapping[int, int]) -> list[tuple[str, int]]:
    """Group sizes for a picture: 1, 2, 3-4, 5-8, ..."""
    found: Counter[int] = Counter()
    for size, keepers in sizes.items():
        found[(size - 1).bit_length()] += keepers
    return [(_band(bits), found[bits]) for bits in range(max(found, default=-1) + 1)]


def _band(bits: int) -> str:
    low, high = (1 << (bits - 1)) + 1 if bits else 1, 1 << bits
    return f"{low:,}" if low >= high else f"{low:,}-{high:,}"
