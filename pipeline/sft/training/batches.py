"""From rows of a mixture to a batch: padded, and with all that a loss must know of each row."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from pipeline.sft.blocks import mask, side_by_side
from pipeline.sft.example import IGNORED, stacked
from schemas.records import TopLogprobs

NOBODY = -1
"""The part and the row of what only fills up a batch."""

Row = Mapping[str, Any]
Ids = npt.NDArray[np.int64]


class Rows:
    """A mixture's rows as numpy arrays, each with its number; what torch calls a data set."""

    def __init__(self, dataset: Any) -> None:
        self._rows = dataset.with_format("numpy")

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, number: int) -> Row:
        return {**self._rows[int(number)], "row": number}


@dataclass(frozen=True)
class Collator:
    """Makes a batch of rows.

    A batch has `input_ids`, `attention_mask` and `labels`, padded at the right, and `part` and
    `row` of each. The distributions that a run stored come as `target_ids`, `target_logprobs` and
    `target_tail`: a row for each learned id of the rows of a `stored` part, in their order.
    """

    pad_id: int
    stored: frozenset[int] = frozenset()
    """The parts whose rows learn from what was stored, and only there."""

    def __call__(self, rows: Sequence[Row]) -> dict[str, Tensor]:
        """The batch."""
        if not rows:
            return self._nothing()
        ids = [_ids(row["input_ids"]) for row in rows]
        labels = [_ids(row["labels"]) for row in rows]
        batch = {"part": _of(rows, "part"), "row": _of(rows, "row")}
        targets = [
            _targets(row, labels[index])
            for index, row in enumerate(rows)
            if int(row["part"]) in self.stored
        ]
        if targets:
            batch |= _stored(targets)
        return padded(ids, labels, self.pad_id) | batch

    def _nothing(self) -> dict[str, Tensor]:
        """A row without loss, for a process that is left without any."""
        two = np.full(2, self.pad_id, np.int64)
        nobody = torch.tensor([NOBODY])
        labels = np.full(2, IGNORED, np.int64)
        return padded([two], [labels], self.pad_id) | {"part": nobody, "row": nobody.clone()}


def padded(ids: Sequence[Ids], labels: Sequence[Ids], pad_id: int) -> dict[str, Tensor]:
    """Rows of different lengths side by side, and which of it is padding."""
    return {
        "input_ids": side_by_side(ids, pad_id),
        "attention_mask": mask(ids),
        "labels": side_by_side(labels, IGNORED),
    }


def learned(batch: Mapping[str, Tensor]) -> Tensor:
    """Which ids carry loss, from the second on: nothing predicts the first."""
    return batch["labels"][:, 1:] != IGNORED


def counts(batches: Iterable[Mapping[str, Tensor]], parts: int) -> Tensor:
    """By part, how many learned ids there are."""
    total = torch.zeros(parts, dtype=torch.int64)
    for batch in batches:
        rows = batch["part"] != NOBODY
        numbers = learned(batch).sum(1)[rows].cpu()
        total.index_add_(0, batch["part"][rows].cpu(), numbers)
    return total


def _targets(row: Row, labels: Ids) -> TopLogprobs:
    """Those at learned ids; what has none is not learned."""
    at = _ids(row["target_at"])
    k = len(row["target_ids"]) // max(1, len(at))
    with_target = np.zeros(len(labels), np.bool_)
    with_target[at] = True
    labels[~with_target] = IGNORED
    taken = (labels[at] != IGNORED) & (at > 0)
    ids = np.asarray(row["target_ids"], np.int32).reshape(len(at), k)[taken]
    logprobs = np.asarray(row["target_logprobs"], np.float32).reshape(len(at), k)[taken]
    return TopLogprobs(ids, logprobs, np.asarray(row["target_tail"], np.float32)[taken])


def _stored(targets: Sequence[TopLogprobs]) -> dict[str, Tensor]:
    ids, logprobs, tail = map(torch.from_numpy, stacked(targets))
    return {"target_ids": ids.long(), "target_logprobs": logprobs, "target_tail": tail}


def _ids(values: Any) -> Ids:
    return np.array(values, np.int64)


def _of(rows: Sequence[Row], column: str) -> Tensor:
    return torch.tensor([int(row[column]) for row in rows])
