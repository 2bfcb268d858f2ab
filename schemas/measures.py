"""What crosses between the loop and those who measure turns: columns there, numbers back."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from schemas.records import Ids, Role

Scores = npt.NDArray[np.float32]
Signatures = npt.NDArray[np.uint32]
Vectors = npt.NDArray[np.int8]


class Turn(NamedTuple):
    """One sampled turn with what a filter may look at."""

    node_id: str
    role: Role
    text: str
    """What a reader sees: reasoning left out."""
    token_ids: Ids
    """All that was sampled, reasoning among it."""
    reasoning_tokens: int
    finish_reason: str
    logprob_sum: float
    """NaN where it was not asked for."""
    above: tuple[str, ...]
    """A system prompt (it may be empty), then the texts from the root down to the turn before: a
    user's and an assistant's by turns, or plain texts."""
    reference: str = ""
    """An answer that somebody else gave to the root's question; empty where there is none."""
    asked: str = ""
    """A message of ours that stands between what is above and the turn; empty where none does."""
    tongue: int = 0
    """The dialect that its model speaks."""

    @property
    def before(self) -> tuple[str, ...]:
        """All that was said before the turn: what is above, then what was asked."""
        return (*self.above, self.asked) if self.asked else self.above


@dataclass(frozen=True, eq=False)
class Turns:
    """Sampled turns of one wave as columns, in row order. Failed requests are not among them."""

    role: Role
    node_ids: list[str]
    texts: list[str]
    token_ids: Ids
    """Of all turns, one after the other."""
    ends: npt.NDArray[np.int64]
    """Where each turn's ids end."""
    reasoning_tokens: npt.NDArray[np.int32]
    finish_reasons: list[str]
    logprob_sums: npt.NDArray[np.float64]
    families: npt.NDArray[np.int32]
    """By turn, the index into `above`."""
    above: list[tuple[str, ...]]
    """By parent, a system prompt (it may be empty) and the texts from the root down to it."""
    references: list[str]
    """By parent, its root's reference, or nothing."""
    tongues: npt.NDArray[np.int8]
    """By turn, the dialect that its model speaks: a turn may be written again by another model."""
    asked: str = ""
    """A message of ours that was said before each of them, after what is above."""

    def __len__(self) -> int:
        return len(self.texts)

    def __getitem__(self, index: int) -> Turn:
        start = int(self.ends[index - 1]) if index else 0
        return Turn(
            node_id=self.node_ids[index],
            role=self.role,
            text=self.texts[index],
            token_ids=self.token_ids[start : int(self.ends[index])],
            reasoning_tokens=int(self.reasoning_tokens[index]),
            finish_reason=self.finish_reasons[index],
            logprob_sum=float(self.logprob_sums[index]),
            above=self.above[self.families[index]],
            reference=self.references[self.families[index]],
            asked=self.asked,
            tongue=int(self.tongues[index]),
        )

    def part(self, start: int, stop: int) -> "Turns":
        """Some turns in a row, with all of `above`."""
        first = int(self.ends[start - 1]) if start else 0
        ends = self.ends[start:stop]
        last = int(ends[-1]) if len(ends) else first
        return Turns(
            role=self.role,
            node_ids=self.node_ids[start:stop],
            texts=self.texts[start:stop],
            token_ids=self.token_ids[first:last],
            ends=ends - first,
            reasoning_tokens=self.reasoning_tokens[start:stop],
            finish_reasons=self.finish_reasons[start:stop],
            logprob_sums=self.logprob_sums[start:stop],
            families=self.families[start:stop],
            above=self.above,
            references=self.references,
            tongues=self.tongues[start:stop],
            asked=self.asked,
        )


@dataclass(frozen=True, eq=False)
class Measures:
    """Numbers about turns, row by row. Verdicts and stored features are made of nothing else."""

    names: tuple[str, ...]
    """Of the columns of `scores`."""
    scores: Scores
    """n x names; NaN where a measure says nothing about a turn."""
    signatures: Signatures
    """n x permutations; n x 0 where none were asked for."""
    vectors: Vectors
    """n x dimensions; n x 0 where none were asked for."""

    def __len__(self) -> int:
        return len(self.scores)

    def column(self, name: str) -> Scores:
        """One score of every turn."""
        column: Scores = self.scores[:, self.names.index(name)]
        return column

    def take(self, rows: npt.NDArray[np.intp]) -> "Measures":
        """Rows by index; -1 is a row that nothing is known about."""
        known = rows >= 0
        picked = np.where(known, rows, 0)
        if not len(self):
            return no_measures(len(rows), names=self.names)
        scores = self.scores[picked]
        scores[~known] = np.nan
        signatures, vectors = self.signatures[picked], self.vectors[picked]
        signatures[~known], vectors[~known] = 0, 0
        return Measures(self.names, scores, signatures, vectors)

    def with_score(self, name: str, values: Scores) -> "Measures":
        """One more column."""
        scores = np.column_stack([self.scores, values.astype(np.float32)])
        return Measures((*self.names, name), scores, self.signatures, self.vectors)


def no_measures(rows: int, *, names: tuple[str, ...] = ()) -> Measures:
    """So many turns that nothing is known about."""
    return Measures(
        names,
        np.full((rows, len(names)), np.nan, dtype=np.float32),
        np.zeros((rows, 0), dtype=np.uint32),
        np.zeros((rows, 0), dtype=np.int8),
    )


def join_measures(parts: Sequence[Measures]) -> Measures:
    """The rows of all parts, which have the same columns."""
    first = parts[0]
    if len(parts) == 1:
        return first
    return Measures(
        first.names,
        np.concatenate([part.scores for part in parts]),
        np.concatenate([part.signatures for part in parts]),
        np.concatenate([part.vectors for part in parts]),
    )
