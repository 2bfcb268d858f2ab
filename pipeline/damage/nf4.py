"""NF4 (arXiv 2305.14314): 4 bits a weight, in blocks of 64 with one scale each, and back.

The 16 levels are quantiles of a normal distribution, seven below zero, zero itself and eight above,
scaled into -1..1. A block's scale is its largest magnitude, which so is kept exactly, and by which
quantising what was quantised changes nothing. Scales stay in float32 (no double quantisation).
Embeddings, the head and all that is no matrix stay as they are.
"""

import re
from functools import cache
from statistics import NormalDist
from typing import Any

BLOCK = 64
_OFFSET = 0.9677083
"""The outermost quantile: half way between those of 1/32 and 1/30 from the end."""
_IN_LAYER = re.compile(r"(?:^|\.)(?:layers|layer|h|blocks|block)\.\d+\..*weight")


@cache
def levels() -> tuple[float, ...]:
    """Ascending, from -1 to 1."""
    quantile = NormalDist().inv_cdf
    above = [quantile(_OFFSET - i * (_OFFSET - 0.5) / 8) for i in range(8)]
    below = [-quantile(_OFFSET - i * (_OFFSET - 0.5) / 7) for i in range(7)]
    return tuple(sorted(level / above[0] for level in [*above, 0.0, *below]))


def alter(name: str, tensor: Any) -> Any:
    """Round the matrix of a linear layer; all else stays."""
    return rounded(tensor) if is_linear(name, tensor) else tensor


def is_linear(name: str, tensor: Any) -> bool:
    """Whether it is a matrix within a layer: neither an embedding, nor the head, nor a norm."""
    matrix = tensor.ndim == 2 and tensor.is_floating_point()
    return matrix and _IN_LAYER.search(name) is not None


def rounded(tensor: Any) -> Any:
    """To the nearest level of its block, in its own shape and data type."""
    import torch

    flat = tensor.float().flatten()
    blocks = torch.nn.functional.pad(flat, (0, -len(flat) % BLOCK)).view(-1, BLOCK)
    scales = blocks.abs().amax(dim=1, keepdim=True)
    # A block of zeros has no scale to divide by.
    shares = blocks / scales.where(scales > 0, 1.0)
    table = torch.tensor(levels(), dtype=torch.float32)
    between = (table[1:] + table[:-1]) / 2
    near = table[torch.bucketize(shares, between)] * scales
    return near.flatten()[: len(flat)].view_as(tensor).to(tensor.dtype)
