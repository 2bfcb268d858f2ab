"""The protocol of a pool, in the words of the loop that uses it."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import NamedTuple, Protocol

from pipeline.engines.engine import Engine
from schemas.records import EngineReport, EngineStats, Outcome, Request

EngineFactory = Callable[[int], Engine]
"""Makes an engine of a group, given its incarnation. Picklable; called where the engine lives."""


class PoolLimits(NamedTuple):
    """How a pool treats engines and requests that misbehave."""

    attempts: int
    restarts: int
    """Engines replaced because they raised or stalled."""
    start_s: float
    """From its place until an engine has loaded."""
    stall_s: float
    machine_restarts: int = 100
    """Engines replaced because their process was killed or their node lost."""
    wait_s: float = 1800.0
    """For a place, where no engine of the group has loaded."""
    idle_s: float = 60.0
    """Without work that waits for an engine, until those above the least are let go that have none;
    longer where they took longer to load."""
    yield_s: float = 60.0
    """A group of which no engine has a place gets one after so long, of another group's above its
    least."""


class GroupPlan(NamedTuple):
    """What the pool must know of one engine group."""

    name: str
    make_engine: EngineFactory
    least: int
    """Engines that are asked for first, and are not let go."""
    lease: int
    """Children leased to one engine at once."""
    weights: str
    """Digest the engines must report, else they are refused."""
    cpus: float = 1
    gpus: float = 0
    """Of one node, unless there are several stages."""
    most: int | None = None
    """Engines that there may be; None: no more than the least."""
    loading: int = 8
    """So many load at once."""
    stages: int = 1
    """Several may lie on several nodes, where each stage lies on one."""
    labels: Mapping[str, str] = MappingProxyType({})
    """Of the nodes that engines may lie on, as Ray selects them."""
    environment: Mapping[str, str] = MappingProxyType({})
    """Variables of the engines' processes, where these are processes of their own."""

    @property
    def ceiling(self) -> int:
        """Engines that there may be."""
        return self.most or self.least


@dataclass(frozen=True)
class PoolStats:
    """A look at the pool, for progress displays."""

    engines: dict[str, EngineStats] = field(default_factory=dict)
    """By engine name, the live ones."""
    restarts: int = 0
    """Engines replaced because they raised or stalled."""
    machine_restarts: int = 0
    """Engines replaced because their process was killed or their node lost."""
    requeued: int = 0
    """Children asked for again after their engine was lost."""
    refused: int = 0
    """Late or doubled outcomes that were turned away."""
    waiting: int = 0
    """Engines that are asked for and have no place."""
    loading: int = 0
    """Engines that have a place and have not loaded."""
    gpus: float = 0.0
    """That engines hold, whether they have loaded or not."""
    gpu_s: float = 0.0
    """GPU seconds that engines held until now."""


class Pool(Protocol):
    """Where requests go and outcomes come from."""

    def start(self) -> None:
        """Begin to start engines. Returns when at least one of each group has loaded.

        Raises `EngineError` when none can start, `PoolError` when none finds a place to run,
        `ModelError` when one loaded other weights. Close the pool then.
        """
        ...

    def submit(self, requests: Sequence[Request]) -> None:
        """Take the requests of one wave. Never blocks.

        A child may be submitted again only once its outcome was collected.
        """
        ...

    def collect(self, timeout_s: float) -> list[Outcome]:
        """Outcomes since the last call; waits at most `timeout_s` for the first.

        Raises `PoolError` when no engine is left and the restart budget is spent.
        """
        ...

    def abandon(self) -> None:
        """Drop everything that was submitted and not collected."""
        ...

    def reports(self) -> list[EngineReport]:
        """What the engines that ever loaded said of themselves, without repeats."""
        ...

    def stats(self) -> PoolStats:
        """A look at it now."""
        ...

    def close(self, patience_s: float = math.inf) -> None:
        """End all engines, which have `patience_s` to free their devices, or less if the pool
        finds that enough. Idempotent."""
        ...
