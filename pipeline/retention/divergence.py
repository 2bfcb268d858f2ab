"""KL(original || model): how far the model's next tokens are from the original's."""

import torch

from pipeline.sft.training.losses import forward_kl

_CHUNK = 1 << 22
"""So many logits are looked at at once."""


def divergences(original: torch.Tensor, model: torch.Tensor) -> torch.Tensor:
    """By row of logits, in nats over the whole vocabulary."""
    step = max(1, _CHUNK // original.shape[-1])
    pairs = zip(model.split(step), original.split(step), strict=True)
    # Rounding may leave a little less than nothing.
    return torch.cat([forward_kl(*pair).clamp(min=0) for pair in pairs])
