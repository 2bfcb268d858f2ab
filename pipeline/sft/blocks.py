"""Rows of ids side by side, as models take them, and what a model writes after them."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

Row = npt.NDArray[np.integer[Any]]


def side_by_side(rows: Sequence[Row], filler: int = 0, *, in_front: bool = False) -> Tensor:
    """Rows of different lengths, filled up at their ends, or in front."""
    width = max(map(len, rows))
    table = np.full((len(rows), width), filler, np.int64)
    for index, row in enumerate(rows):
        start = width - len(row) if in_front else 0
        table[index, start : start + len(row)] = row
    return torch.from_numpy(table)


def mask(rows: Sequence[Row], *, in_front: bool = False) -> Tensor:
    """What of their block is theirs."""
    return side_by_side([np.ones(len(row), np.int64) for row in rows], in_front=in_front)


def continuations(model: Any, prompts: Sequence[Row], config: Any) -> npt.NDArray[np.int64]:
    """What a model writes after prompts, which are filled up in front, where the mask hides it."""
    ids = side_by_side(prompts, config.pad_token_id, in_front=True)
    found = model.generate(
        input_ids=ids.to(model.device),
        attention_mask=mask(prompts, in_front=True).to(model.device),
        generation_config=config,
    )
    rows: npt.NDArray[np.int64] = found[:, ids.shape[1] :].cpu().numpy()
    return rows
