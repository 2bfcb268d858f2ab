"""The shape of many trees as columns, in row order: by tree, and within it by path.

In this order a subtree is the rows from its node up to some end, so nothing needs a graph.

A tree may answer a prompt that it was given. What its first level says then means nothing without
the prompt, so such trees are compared with those of the very same prompt only.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

RowNumbers = npt.NDArray[np.int32]
Flags = npt.NDArray[np.bool_]
Prompts = npt.NDArray[np.uint64]
"""A number for each prompt; 0 where there is none."""


@dataclass(frozen=True, eq=False)
class Grove:
    """RowNumbers of whole trees."""

    trees: npt.NDArray[np.int32]
    """By row, a number that no other tree has."""
    levels: npt.NDArray[np.int16]
    answers: Flags
    """Whether a conversation may end with a row: an assistant's turn, or a text's continuation."""
    given: Flags
    """Whether a row was not sampled: a root, or what stands in for an answer."""
    prompts: Prompts
    """By tree, in order: what it answers."""

    def __len__(self) -> int:
        return len(self.levels)

    @cached_property
    def parents(self) -> RowNumbers:
        """The row above; -1 for a root."""
        found = np.full(len(self), -1, dtype=np.int32)
        for level, rows in self._by_level.items():
            above = self._by_level.get(level - 1)
            if above is not None:
                last = np.searchsorted(above, rows) - 1
                parents = above[np.maximum(last, 0)]
                same = (last >= 0) & (self.trees[parents] == self.trees[rows])
                found[rows] = np.where(same, parents, -1)
        return found

    @cached_property
    def ends(self) -> RowNumbers:
        """Where the subtree of a row ends: the first row after it that is not below it."""
        found = np.empty(len(self), dtype=np.int32)
        tree_ends = np.searchsorted(self.trees, self.trees, side="right").astype(np.int32)
        for level, rows in self._by_level.items():
            outside = np.append(np.flatnonzero(self.levels <= level), len(self))
            found[rows] = outside[np.searchsorted(outside, rows, side="right")]
        return np.minimum(found, tree_ends)

    @cached_property
    def openings(self) -> RowNumbers:
        """The level-1 row that a row lies below, or is; its own row above that."""
        rows = np.arange(len(self), dtype=np.int32)
        starts = np.where(self.levels <= 1, rows, -1)
        found: RowNumbers = np.maximum.accumulate(starts)
        return found

    def prompts_of(self, rows: npt.NDArray[np.integer]) -> Prompts:
        """What the trees of rows answer."""
        starts = self._tree_starts
        found: Prompts = self.prompts[np.searchsorted(starts, rows, side="right") - 1]
        return found

    def path(self, row: int) -> list[int]:
        """The rows from level 1 down to a row."""
        found = []
        while row >= 0 and self.levels[row] > 0:
            found.append(row)
            row = int(self.parents[row])
        return found[::-1]

    @cached_property
    def _tree_starts(self) -> RowNumbers:
        return np.flatnonzero(np.diff(self.trees, prepend=-1)).astype(np.int32)

    @cached_property
    def _by_level(self) -> dict[int, RowNumbers]:
        return {
            int(level): np.flatnonzero(self.levels == level).astype(np.int32)
            for level in np.unique(self.levels)
        }
