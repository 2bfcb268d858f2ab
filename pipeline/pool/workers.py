"""The protocol of workers: CPU processes beside the engines that measure turns."""

from collections.abc import Callable
from typing import NamedTuple, Protocol

from schemas.measures import Measures, Turns

Measure = Callable[[Turns], Measures]

MeasureFactory = Callable[[], Measure]
"""Makes what measures. Picklable; called once in each worker."""


class Measured(NamedTuple):
    """A wave whose turns are measured."""

    wave: str
    measures: Measures


class Workers(Protocol):
    """Where turns go and measures come from."""

    def start(self) -> None:
        """Begin to start. Raises what keeps a worker from starting, now or at a later call."""
        ...

    def submit(self, wave: str, turns: Turns) -> None:
        """Take the turns of one wave, which is named once. Never waits for other waves."""
        ...

    def collect(self) -> list[Measured]:
        """Waves finished since the last call, each with its rows in the order submitted.

        Never waits. Raises what a measure raised, or `PoolError` when workers keep dying.
        """
        ...

    def close(self) -> None:
        """End all workers, and drop what was submitted and not collected. Idempotent."""
        ...
