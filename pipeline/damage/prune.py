"""Pruning of feed-forward layers: whole neurons, or single weights, become zero.

A neuron of a gated layer is a row of its gate and of its up projection and a column of its down
projection. It matters as much as the product of their three norms, which is what it can add to the
residual stream at most; the least of them go first, the same share in every layer. Shapes stay.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from pipeline.damage.checkpoint import Alter, Checkpoint
from schemas.errors import ModelError

_PART = re.compile(r"(?P<layer>.+)\.(?P<part>gate|up|down)_proj\.(?P<what>weight|bias)")
_PARTS = ("gate", "up", "down")


class Part(NamedTuple):
    """What a tensor's name says of its place in a feed-forward layer."""

    layer: str
    part: str
    what: str


@dataclass(frozen=True)
class Pruning:
    """What is pruned, by layer."""

    share: float
    width: dict[str, int] = field(default_factory=dict)
    """Neurons of each layer."""
    neurons: dict[str, Any] = field(default_factory=dict)
    """Numbers of those that go, ascending."""

    def alter(self, name: str, tensor: Any) -> Any:
        """Zero what belongs to a neuron that goes."""
        part = part_of(name)
        if part is None or part.layer not in self.neurons:
            return tensor
        gone, changed = self.neurons[part.layer], tensor.clone()
        if part.part != "down":
            changed[gone] = 0
        elif part.what == "weight":
            changed[:, gone] = 0
        else:
            # What is added after the sum over neurons belongs to none of them.
            return tensor
        return changed


def plan_neurons(checkpoint: Checkpoint, share: float) -> Pruning:
    """Which neurons go: the nearest whole number to this share of each layer."""
    pruning = Pruning(share)
    for layer in layers_of(checkpoint):
        weights = [checkpoint.read(f"{layer}.{part}_proj.weight") for part in _PARTS]
        scores = importance(*weights)
        pruning.width[layer] = len(scores)
        pruning.neurons[layer] = least(scores, share)
    return pruning


def plan_weights(checkpoint: Checkpoint, share: float) -> Alter:
    """Of each matrix of a feed-forward layer, the smallest weights, instead of whole neurons."""
    names = {f"{layer}.{part}_proj.weight" for layer in layers_of(checkpoint) for part in _PARTS}

    def alter(name: str, tensor: Any) -> Any:
        if name not in names:
            return tensor
        changed = tensor.clone().flatten()
        changed[least(tensor.double().abs().flatten(), share)] = 0
        return changed.view_as(tensor)

    return alter


def importance(gate: Any, up: Any, down: Any) -> Any:
    """Of each neuron, in float64: the product of the norms of its row, row and column."""
    norms = [gate.double().norm(dim=1), up.double().norm(dim=1), down.double().norm(dim=0)]
    return norms[0] * norms[1] * norms[2]


def least(scores: Any, share: float) -> Any:
    """The places of this share of the smallest, ascending; of equal ones the first."""
    import torch

    order = torch.argsort(scores, stable=True)
    return order[: round(share * len(scores))].sort().values


def layers_of(checkpoint: Checkpoint) -> list[str]:
    """The gated feed-forward layers by name; a ModelError where there are none."""
    found: dict[str, set[str]] = {}
    for layer, part in _matrices(checkpoint):
        found.setdefault(layer, set()).add(part)
    whole = [layer for layer, parts in found.items() if parts == set(_PARTS)]
    if not whole:
        raise ModelError(
            f"{checkpoint.folder}: found no gated feed-forward layer to prune; expected tensors "
            "named *.gate_proj.weight, *.up_proj.weight and *.down_proj.weight, as Llama, Qwen, "
            "Mistral, Gemma and SmolLM have them."
        )
    return whole


def part_of(name: str) -> Part | None:
    """None for a tensor of another layer."""
    found = _PART.fullmatch(name)
    return Part(found["layer"], found["part"], found["what"]) if found else None


def _matrices(checkpoint: Checkpoint) -> Iterator[tuple[str, str]]:
    for name in checkpoint.names:
        part = part_of(name)
        if part is not None and part.what == "weight":
            yield part.layer, part.part
