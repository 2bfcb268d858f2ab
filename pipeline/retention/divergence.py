"""KL(original || model): how far the model's next tokens are from the original's."""

import torch

_CHUNK = 1 << 22
"""So many logits are looked at at once."""


def divergences(original: torch.Tensor, model: torch.Tensor) -> torch.Tensor:
    """By row of logits, in nats over the whole vocabulary."""
    step = max(1, _CHUNK // original.shape[-1])
    parts = [
        _divergence(ours.float().log_softmax(-1), theirs.float().log_softmax(-1))
        for ours, theirs in zip(original.split(step), model.split(step), strict=True)
    ]
    return torch.cat(parts)


def _divergence(original: torch.Tensor, model: torch.Tensor) -> torch.Tensor:
    # Rounding may leave a little less than nothing.
    return (original.exp() * (original - model)).sum(-1).clamp(min=0)
