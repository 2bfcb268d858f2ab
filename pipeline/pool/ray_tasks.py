"""Tasks on Ray: packs of partitions are objects, which Ray keeps, moves and spills itself.

Functions and items cross pickled. What a lost machine worked on is done again by Ray.
"""

import logging
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Any, TypeVar

import numpy as np

from pipeline.pool.ray_connection import (
    found_in_ray,
    in_one_line,
    join_ray,
    leave_ray,
    require_ray,
)
from pipeline.pool.tasks import Array, Join, Split
from schemas.errors import ArboristError, NoEngine, PoolError

_log = logging.getLogger(__name__)

Item = TypeVar("Item")
Result = TypeVar("Result")

_LOOK_S = 1.0
"""How long to wait for a result before it is asked whether Ray is still there."""

WAIT_S = 1800.0
"""How long no task may end before it is given up; what waits for a CPU is not told by Ray from what
works."""

_FIRST_NOTE_S = 30.0
"""Who waits so long is told; and again each time when four times as long has passed."""

_AHEAD = 2
"""Calls in flight for each CPU."""

MOST_GROUPS, MOST_PACKS = 128, 64
"""This process holds a reference for each pack of each group, thousands whatever the size of the
work. More groups are more tasks at once; more packs are smaller ones to join."""


class RayTasks:
    """One Ray task for each call."""

    def __init__(
        self,
        address: str | None = None,
        *,
        wait_s: float = WAIT_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Joins Ray if it runs here, else `address` or RAY_ADDRESS, else starts it here."""
        join_ray(address)
        self._joined = True
        self._wait_s, self._clock = wait_s, clock
        import ray

        self.width = max(1, int(ray.cluster_resources().get("CPU", 1)))

    def map(self, work: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
        """One result after the other."""
        import ray

        call = ray.remote(_call)
        pending = (call.remote(work, item) for item in items)
        yield from self._in_order(pending)

    def shuffle(
        self, split: Split[Item], items: Iterable[Item], join: Join, partitions: int
    ) -> Iterator[Array]:
        """A task for each group of items, then one for each group of partitions."""
        import ray

        waiting = list(items)
        groups, packs = slices(len(waiting), MOST_GROUPS), slices(partitions, MOST_PACKS)
        call = ray.remote(_split).options(num_returns=len(packs))
        made: list[list[Any]] = []
        for group in groups:
            found = call.remote(split, waiting[group], packs)
            made.append([found] if len(packs) == 1 else found)
            if len(made) >= _AHEAD * self.width:
                # The one so far back is most likely done, and so the queue stays short.
                self._await([refs[0] for refs in made[-_AHEAD * self.width :]])
        splits = [refs[0] for refs in made]
        for place in range(len(splits)):
            self._await(splits[place:])
        joined = ray.remote(_join)
        pending = (
            joined.remote(join, *(refs[number] for refs in made)) for number in range(len(packs))
        )
        for tables in self._in_order(pending):
            yield from tables

    def close(self) -> None:
        """Leave Ray."""
        if self._joined:
            self._joined = False
            leave_ray()

    def _in_order(self, pending: Iterator[Any]) -> Iterator[Any]:
        ahead: deque[Any] = deque()
        for ref in pending:
            ahead.append(ref)
            if len(ahead) > _AHEAD * self.width:
                yield self._next(ahead)
        while ahead:
            yield self._next(ahead)

    def _next(self, ahead: deque[Any]) -> Any:
        self._await(list(ahead))
        return _result(ahead.popleft())

    def _await(self, calls: Sequence[Any]) -> None:
        """Until the first of these calls has ended; raises where for too long none does."""
        import ray

        ended, since, note_after_s = 0, self._clock(), _FIRST_NOTE_S
        while not ray.wait(calls[:1], timeout=_LOOK_S, fetch_local=False)[0]:
            require_ray()
            before = ended
            ended = len(ray.wait(calls, num_returns=len(calls), timeout=0, fetch_local=False)[0])
            if ended > before:
                since, note_after_s = self._clock(), _FIRST_NOTE_S
            waited_s = self._clock() - since
            if waited_s > self._wait_s:
                raise NoEngine(_none_ended(len(calls) - ended, self._wait_s))
            if waited_s > note_after_s:
                note_after_s *= 4
                _log.warning("%s", _waiting(len(calls) - ended, waited_s))


def _call(work: Callable[[Any], Any], item: Any) -> Any:
    return work(item)


def _split(split: Split[Any], items: Sequence[Any], packs: Sequence[slice]) -> Any:
    """The tables of some items, each partition joined over them, pack by pack."""
    tables = [np.concatenate(parts) for parts in zip(*map(split, items), strict=True)]
    found = [tables[pack] for pack in packs]
    return found[0] if len(packs) == 1 else found


def _join(join: Join, *groups: Sequence[Array]) -> list[Array]:
    """The partitions of a pack, which every group made a part of."""
    return [join(tables) for tables in zip(*groups, strict=True)]


def slices(count: int, most: int) -> list[slice]:
    """So many things in their order, as `most` slices of about one size, or fewer."""
    number = min(count, most)
    edges = [count * i // number for i in range(number + 1)] if number else []
    return [slice(start, stop) for start, stop in pairwise(edges)]


def _waiting(calls: int, waited_s: float) -> str:
    return (
        f"No task has ended for {waited_s:.0f} s. {calls} wait or work, each asks for 1 CPU, and "
        f"{found_in_ray()}"
    )


def _none_ended(calls: int, waited_s: float) -> str:
    return (
        f"{_waiting(calls, waited_s)}. If none is free, free or add some, and start the same "
        "command again; if the tasks do take that long, give them longer (`--wait-s`)."
    )


def _result(ref: Any) -> Any:
    import ray
    from ray.exceptions import RayError, RayTaskError

    try:
        while not ray.wait([ref], timeout=_LOOK_S)[0]:
            require_ray()
        return ray.get(ref)
    except RayTaskError as error:
        if isinstance(error.cause, ArboristError):
            raise error.cause from None
        raise PoolError(f"A task failed: {error.cause!r}") from error
    except RayError as error:
        raise PoolError(f"Ray lost a task: {in_one_line(error)}") from error
