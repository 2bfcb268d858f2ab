"""What the loop tells whoever watches it, and how it is told to stop."""

from collections.abc import Sequence
from enum import Enum
from typing import NamedTuple, Protocol

from pipeline.pool.pool import PoolStats
from schemas.claim import Driver
from schemas.manifest import Manifest


class Stop(Enum):
    """How far a run is to go."""

    NO = "no"
    DRAIN = "drain"
    """Finish the waves in flight, open no more."""
    ABANDON = "abandon"
    """Drop the waves in flight."""
    LEAVE = "leave"
    """As to drain, but because the machine is taken away; before long it is `EVICT`."""
    EVICT = "evict"
    """Drop the waves in flight, because the machine is taken away."""

    @property
    def drops(self) -> bool:
        """Whether the waves in flight are dropped."""
        return self in (Stop.ABANDON, Stop.EVICT)


class Awaited(NamedTuple):
    """What another driver still works on."""

    driver: Driver | None
    """None where it is not known who claimed it."""
    cohorts: tuple[int, ...]


class Watch(Protocol):
    """A listener to one attempt at a run."""

    def committed(self, manifest: Manifest, *, ours: bool) -> None:
        """A wave became real, by this attempt or by another driver's."""
        ...

    def landed(self, seconds: float) -> None:
        """A commit of this attempt is done, so long after its wave was judged."""
        ...

    def tick(self, stats: PoolStats, *, open_waves: int) -> None:
        """Called at every turn of the loop, up to fifty times a second."""
        ...

    def waits(self, others: Sequence[Awaited]) -> None:
        """Nothing is left to take, and others still work: called now and again."""
        ...

    def stop(self) -> Stop:
        """Asked between any two moves of the loop."""
        ...
