"""How many nodes the engines of one driver need, and of what kind.

What must lie on one node is a seat: an engine, or of an engine with pipeline stages each stage.
"""

import math
from collections.abc import Mapping
from typing import NamedTuple

from schemas.engine_group_spec import EngineGroupSpec
from schemas.errors import SpecError

BESIDE = 1.0
"""CPUs that what an engine writes is measured on."""
_POD_CPUS = 16
"""Of a node for engines without GPUs, which could be of any size."""
_EXACT = 1e-9


class Seat(NamedTuple):
    """What one must have."""

    gpus: float
    cpus: float


class NodeGroup(NamedTuple):
    """Nodes that are alike."""

    engines: tuple[str, ...]
    """Their groups."""
    accelerator: str | None
    labels: tuple[tuple[str, str], ...]
    gpus: int
    """Of a node."""
    cpus: float
    seats: int
    """On a node."""
    least: int
    """Nodes without which there are fewer engines than the least."""
    most: int


def seats_of(name: str, group: EngineGroupSpec, gpus_per_node: int, where: str) -> Seat:
    """What each seat of a group needs; `SpecError` if no node has it."""
    gpus = float(group.tensor_parallel) if group.gpus >= 1 else group.gpus
    if gpus > gpus_per_node:
        raise SpecError(
            f"execution.engines.{name}.tensor_parallel: found {gpus:g} GPUs, which must lie on one "
            f"node, but {where}.gpus_per_node is {gpus_per_node}; divide the layers "
            "(pipeline_parallel), or ask for larger nodes."
        )
    return Seat(gpus, group.booked / group.pipeline_parallel + BESIDE / group.pipeline_parallel)


def node_groups(groups: Mapping[str, EngineGroupSpec], gpus_per_node: int) -> list[NodeGroup]:
    """One for each distinct need: type of GPU, GPUs a seat, labels."""
    alike: dict[tuple[object, ...], list[str]] = {}
    for name, group in groups.items():
        seat = seats_of(name, group, gpus_per_node, "launch.kubernetes")
        need = group.accelerator, tuple(sorted(group.labels.items())), seat.gpus
        alike.setdefault(need, []).append(name)
    return [
        _node_group({name: groups[name] for name in names}, gpus_per_node)
        for names in alike.values()
    ]


def _node_group(groups: Mapping[str, EngineGroupSpec], gpus_per_node: int) -> NodeGroup:
    each = [seats_of(name, g, gpus_per_node, "launch.kubernetes") for name, g in groups.items()]
    widest = Seat(each[0].gpus, max(seat.cpus for seat in each))
    least = sum(g.least * g.pipeline_parallel for g in groups.values())
    most = sum(g.most * g.pipeline_parallel for g in groups.values())
    seats = min(_on_one(widest, gpus_per_node), most)
    first = next(iter(groups.values()))
    return NodeGroup(
        engines=tuple(groups),
        accelerator=first.accelerator,
        labels=tuple(sorted(first.labels.items())),
        gpus=_gpus(widest.gpus, seats),
        cpus=seats * widest.cpus,
        seats=seats,
        least=math.ceil(least / seats),
        most=math.ceil(most / seats),
    )


def _on_one(seat: Seat, gpus_per_node: int) -> int:
    """Seats on a node. One never straddles GPUs that it has shares of."""
    if seat.gpus == 0:
        return max(1, math.floor(_POD_CPUS / seat.cpus))
    if seat.gpus < 1:
        return gpus_per_node * _on_a_gpu(seat.gpus)
    return gpus_per_node // int(seat.gpus)


def _on_a_gpu(share: float) -> int:
    return math.floor(1 / share + _EXACT)


def _gpus(gpus: float, seats: int) -> int:
    """Whole GPUs that so many seats take."""
    return math.ceil(seats / _on_a_gpu(gpus)) if 0 < gpus < 1 else int(gpus) * seats


class _Free(NamedTuple):
    gpus: float
    cpus: float

    def takes(self, seat: Seat) -> bool:
        return seat.gpus <= self.gpus + _EXACT and seat.cpus <= self.cpus + _EXACT

    def less(self, seat: Seat) -> "_Free":
        return _Free(self.gpus - seat.gpus, self.cpus - seat.cpus)


def least_nodes(
    groups: Mapping[str, EngineGroupSpec], gpus_per_node: int, cpus_per_node: int | None
) -> int:
    """How many nodes of one kind the least of all engines need, the largest put first."""
    seats = [
        seat
        for name, group in groups.items()
        for seat in [_rounded(seats_of(name, group, gpus_per_node, "launch.slurm"))]
        for _ in range(group.least * group.pipeline_parallel)
    ]
    whole = _Free(gpus_per_node, math.inf if cpus_per_node is None else cpus_per_node)
    free: list[_Free] = []
    for seat in sorted(seats, reverse=True):
        _require_room(whole, seat)
        index = next((i for i, node in enumerate(free) if node.takes(seat)), None)
        if index is None:
            free.append(whole.less(seat))
        else:
            free[index] = free[index].less(seat)
    return max(1, len(free))


def _rounded(seat: Seat) -> Seat:
    """With a share of a GPU that GPUs divide into, so that none is put across two."""
    shared = 0 < seat.gpus < 1
    return seat._replace(gpus=1 / _on_a_gpu(seat.gpus)) if shared else seat


def _require_room(whole: _Free, seat: Seat) -> None:
    if not whole.takes(seat):
        raise SpecError(
            f"execution.engines: an engine takes {seat.cpus:g} CPUs, {BESIDE:g} of them for what "
            f"it writes to be measured on, but launch.slurm.cpus_per_node is {whole.cpus:g}."
        )
