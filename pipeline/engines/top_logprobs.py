"""The most likely tokens at each position of a turn, and how much mass is left for all others."""

from typing import Any

import numpy as np
import numpy.typing as npt

from schemas.records import TopLogprobs


def tail_mass(logprobs: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """By row, what the listed probabilities leave of 1."""
    # In float64, since a tail of 1e-6 is real; still the rows may add up to a hair above 1.
    listed = np.exp(logprobs.astype(np.float64)).sum(axis=1)
    tail: npt.NDArray[np.float32] = np.maximum(0.0, 1.0 - listed).astype(np.float32)
    return tail


def flat_top_logprobs(flat: Any, top: int, positions: int) -> TopLogprobs:
    """The `top` most likely at the first positions, from vLLM's FlatLogprobs.

    Each position lists the sampled token, and then the most likely ones by rank.
    """
    num = positions * (top + 1)
    ids = np.asarray(flat.token_ids[:num], np.int32).reshape(positions, top + 1)
    logprobs = np.asarray(flat.logprobs[:num], np.float32).reshape(positions, top + 1)
    most_likely = np.ascontiguousarray(logprobs[:, 1:])
    return TopLogprobs(np.ascontiguousarray(ids[:, 1:]), most_likely, tail_mass(most_likely))
