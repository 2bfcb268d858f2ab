"""Which children were being worked on when engines were lost, and which of them is to blame."""

from collections.abc import Iterable
from typing import NamedTuple

from schemas.records import ChildKey


class _Loss(NamedTuple):
    times: int
    event: int
    """Names the last loss; children lost together share it."""


class Losses:
    """Counts losses against children until one of them is condemned as the cause.

    A suspect is one loss away from that. It is to be tried alone, so that its companions survive;
    and once a cause is found, those that were lost with it are suspects no longer.
    """

    def __init__(self, attempts: int) -> None:
        self._attempts = attempts
        self._losses: dict[ChildKey, _Loss] = {}
        self._events = 0

    def __bool__(self) -> bool:
        return bool(self._losses)

    def is_suspect(self, key: ChildKey) -> bool:
        """Whether the next loss condemns the child."""
        loss = self._losses.get(key)
        return loss is not None and loss.times >= self._attempts - 1

    def count(self, lost_together: Iterable[ChildKey]) -> list[ChildKey]:
        """Count one loss against each child; return those that are condemned by it."""
        self._events += 1
        condemned = []
        for key in lost_together:
            loss = self._losses.get(key)
            times = loss.times + 1 if loss else 1
            if times < self._attempts:
                self._losses[key] = _Loss(times, self._events)
                continue
            condemned.append(key)
            if loss:
                self._acquit(loss.event)
        return condemned

    def forget(self, keys: Iterable[ChildKey]) -> None:
        """These children have their outcome."""
        if self._losses:
            for key in keys:
                self._losses.pop(key, None)

    def _acquit(self, event: int) -> None:
        self._losses = {key: loss for key, loss in self._losses.items() if loss.event != event}
