"""The protocol of an engine, in the caller's words."""

from typing import Protocol

from schemas.records import EngineReport, EngineStats, Outcome, Request


class Engine(Protocol):
    """One model on one device group, fed continuously by one thread.

    Every child of every added request gets exactly one outcome from a later `step`, in any order.
    A request that can never work (empty prompt, too long, unknown ids) yields failures with reason
    `invalid`, without disturbing others. An exception from `step` means that the engine is dead.
    """

    def start(self) -> EngineReport:
        """Load, and say what was loaded. Called once, before anything else."""
        ...

    def add(self, request: Request) -> None:
        """Take a request in. Never blocks, never computes. `EngineError` after the close."""
        ...

    def step(self) -> list[Outcome]:
        """Advance all running requests a little and hand out what is finished.

        Returns at once with [] when there is no work.
        """
        ...

    def has_work(self) -> bool:
        """Whether a step could yield anything."""
        ...

    def stats(self) -> EngineStats:
        """Counters since the start. Cheap."""
        ...

    def close(self) -> None:
        """Free the device. Idempotent."""
        ...
