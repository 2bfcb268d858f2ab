"""The sweep: what falls when rows are compared over a whole run, in row order.

A row falls only against an earlier row that is kept, and only after an exact comparison. So a
keeper is never dropped by the same sweep, and no chain of small steps joins what is not alike.
A turn that was given, not sampled, stands where nothing else was kept, so it falls only against
the very same.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from pipeline.curate.whole_run.grove import Grove

Numbers = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]


class Drop(NamedTuple):
    """A row that falls, and why. What was kept below it falls with it."""

    row: int
    reason: str
    keeper: int | None = None
    similarity: float | None = None
    below: tuple[int, ...] = ()


class Likeness(Protocol):
    """Compares rows exactly."""

    def same(self, row: int, others: Numbers) -> Flags:
        """Which of the others say the very same."""
        ...

    def similarities(self, row: int, others: Numbers) -> npt.NDArray[np.float64]:
        """How similar each of the others is."""
        ...


class Meetings(Protocol):
    """Finds whom a row may be like."""

    rows: Numbers
    """All rows that may be like another, in order."""

    def keep(self, row: int) -> None:
        """A row that later ones are compared with; nothing for one that is not among `rows`."""
        ...

    def before(self, row: int) -> Numbers:
        """The rows kept so far that may be like a row, in order."""
        ...


class Rule(NamedTuple):
    """One way in which a row may repeat another."""

    meetings: Meetings
    likeness: Likeness
    threshold: float | None
    """None: only the very same counts."""
    same_reason: str
    near_reason: str

    def apply(self, row: int, *, near: bool) -> Drop | None:
        """Whether a row repeats one kept before: the most similar one, the first of equals.

        Not `near`: only the very same counts for this row.
        """
        others = self.meetings.before(row)
        if not len(others):
            return None
        same = self.likeness.same(row, others)
        if same.any():
            return Drop(row, self.same_reason, int(others[same.argmax()]), 1.0)
        if self.threshold is None or not near:
            return None
        similarities = self.likeness.similarities(row, others)
        best = int(similarities.argmax())
        if similarities[best] < self.threshold:
            return None
        return Drop(row, self.near_reason, int(others[best]), float(similarities[best]))


class Sweep:
    """What is kept of a grove, and what fell."""

    def __init__(self, grove: Grove, kept: Flags, first_own: int) -> None:
        """`kept` is changed. Rows before `first_own` belong to earlier runs and never fall."""
        self._grove, self.kept, self._first_own = grove, kept, first_own
        self.drops: list[Drop] = []

    def withdraw(self, rows: Sequence[int]) -> None:
        """Drop rows by hand, each in its own name, even if it fell before or lies below another."""
        # Those below come first, so that none falls as a part of a subtree.
        for row in sorted(rows, reverse=True):
            self._drop(Drop(row, "withdrawn"))

    def turns(self, rules: Sequence[Rule]) -> None:
        """Decide about turns one by one; the first rule that drops names the reason."""
        met = [rule.meetings.rows for rule in rules]
        for row in np.unique(np.concatenate(met)).tolist() if met else []:
            if not self.kept[row]:
                continue
            own = row >= self._first_own
            found = (self._apply(rule, row) for rule in rules) if own else ()
            drop = next(filter(None, found), None)
            if drop is not None:
                self._drop(drop)
                continue
            for rule in rules:
                rule.meetings.keep(row)

    def conversations(self, rule: Rule, pinned: Flags) -> None:
        """Decide about conversations, by the answer that each ends with, opening by opening.

        One is compared with those kept under earlier openings and with their beginnings, so the
        groups of the rule's rows are their openings. Where an answer falls, its question stays
        without one, and the answer before is the end of a shorter conversation, which comes next.
        An answer stays if it, or a turn below it, is pinned: something fell for its sake.
        """
        rows = rule.meetings.rows
        openings = self._grove.openings[rows]
        starts = np.append(np.flatnonzero(np.diff(openings, prepend=-1)), len(rows)).tolist()
        for start, stop in pairwise(starts):
            under_one = rows[start:stop].tolist()
            for row in reversed(under_one):
                if row >= self._first_own and self._is_last(row) and not self._holds(row, pinned):
                    drop = self._apply(rule, row)
                    if drop is not None:
                        self._drop(drop)
            for row in under_one:
                if self.kept[row]:
                    rule.meetings.keep(row)

    def _apply(self, rule: Rule, row: int) -> Drop | None:
        return rule.apply(row, near=not self._grove.given[row])

    def _is_last(self, row: int) -> bool:
        """Whether a row is kept, and no answer below it is."""
        below = slice(row + 1, self._grove.ends[row])
        return bool(self.kept[row]) and not (self.kept[below] & self._grove.answers[below]).any()

    def _holds(self, row: int, pinned: Flags) -> bool:
        return bool(pinned[row : self._grove.ends[row]].any())

    def _drop(self, drop: Drop) -> None:
        subtree = slice(drop.row + 1, self._grove.ends[drop.row])
        below = np.flatnonzero(self.kept[subtree]) + drop.row + 1
        self.kept[drop.row : self._grove.ends[drop.row]] = False
        self.drops.append(drop._replace(below=tuple(below.tolist())))
