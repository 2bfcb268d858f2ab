"""What a pool needs of the place where its engines live."""

from collections.abc import Sequence
from typing import Protocol

from pipeline.pool.engine_loop import Exchange
from pipeline.pool.pool import GroupPlan
from schemas.records import EngineReport, Request


class Host(Protocol):
    """Where one incarnation of an engine lives. No method waits.

    What ended the engine is raised as an `EngineError`, a `MachineLost` where it was lost with what
    it ran on; an error of the user as it is.
    """

    def is_placed(self) -> bool:
        """Whether it has a place to run. Raises what ended it."""
        ...

    def load(self) -> None:
        """Begin to load. Called once, after it has a place."""
        ...

    def report(self) -> EngineReport | None:
        """What it loaded, or None while it loads. Raises what ended it."""
        ...

    def send(self, requests: Sequence[Request]) -> None:
        """Hand it requests, perhaps none, and listen for what it finishes."""
        ...

    def receive(self) -> Exchange | None:
        """What it said since the last call, None for nothing. Raises what ended it."""
        ...

    def kill(self) -> None:
        """End it at once, or cut it off where that cannot be done."""
        ...


class Fleet(Protocol):
    """All hosts of a pool."""

    def open(self) -> None:
        """Reach the place where engines live; raise what it can never hold. Called once, first."""
        ...

    def launch(self, group: GroupPlan, incarnation: int) -> Host:
        """Ask for a place for an engine."""
        ...

    def wait(self, timeout_s: float) -> None:
        """Wait until some host may have news."""
        ...

    def shortage(self, group: GroupPlan) -> str:
        """Why an engine may find no place, for an error message."""
        ...

    def close(self, hosts: Sequence[Host], patience_s: float) -> None:
        """Let these engines end in order, for at most so long, and free what the fleet holds."""
        ...
