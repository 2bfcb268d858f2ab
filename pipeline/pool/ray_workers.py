"""Workers that are Ray actors, one process each, anywhere in a cluster.

As with engines, an actor is never restarted by Ray: a lost one is replaced by another, and what it
held is sent again. Few parts are in flight to each, so that a slow one keeps nobody waiting.
"""

import logging
import os
import time
from collections import deque
from collections.abc import Callable
from functools import cache
from typing import Any

from pipeline.pool.measuring import ENVIRONMENT, Measuring, pack, unpack
from pipeline.pool.parts import ATTEMPTS, Assembly, Part, WorkerLimits, cut
from pipeline.pool.ray_connection import (
    in_one_line,
    is_own_ray,
    is_ray_lost,
    join_ray,
    leave_ray,
    require_ray,
)
from pipeline.pool.workers import Measured, MeasureFactory
from schemas.errors import ArboristError, PoolError
from schemas.measures import Turns

_log = logging.getLogger(__name__)

_IN_FLIGHT = 2
"""Parts at one actor: one being measured, and one so that it need not wait for the driver."""

_PLACE_S = 30.0
"""How long an actor waits for a CPU of its own."""


class RayWorkers:
    """Measures in Ray actors, on the Ray that the pool of engines uses.

    Start the pool first: where it starts Ray on this machine, it knows how many CPUs to grant.
    """

    def __init__(
        self,
        make_measure: MeasureFactory,
        count: int,
        address: str | None = None,
        *,
        limits: WorkerLimits | None = None,
        cpus: float = 1,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`cpus` are asked for each actor, where Ray's count of them is that of machines."""
        self._make_measure = make_measure
        self._count = count
        self._address = address
        self._limits = limits or WorkerLimits()
        self._cpus = cpus
        self._clock = clock
        self._seats: list[_Seat] = []
        self._queue: deque[Part] = deque()
        self._assembly = Assembly()
        self._done: list[Measured] = []
        self._error: ArboristError | None = None
        self._joined = False

    def start(self) -> None:
        """Ask Ray for the actors."""
        join_ray(self._address)
        self._joined = True
        cpus = 0 if is_own_ray() else self._cpus
        self._seats = [self._seat(cpus) for _ in range(self._count)]

    def submit(self, wave: str, turns: Turns) -> None:
        """Queue the wave's parts, and send what there is room for."""
        parts = cut(wave, turns)
        self._assembly.expect(parts)
        self._queue.extend(parts)
        self._send()

    def collect(self) -> list[Measured]:
        """Waves finished since the last call."""
        if self._error is None:
            try:
                require_ray()
                self._receive()
                self._send()
            except ArboristError as error:
                self._error = error
        if self._error is not None:
            raise self._error
        done, self._done = self._done, []
        return done

    def pids(self) -> list[int]:
        """The processes of the actors that have a place."""
        return [seat.pid for seat in self._seats if seat.pid is not None]

    def close(self) -> None:
        """End the actors at once: nothing that they hold is wanted any more."""
        if not self._joined:
            return
        import ray

        self._joined = False
        if ray.is_initialized():
            lost = is_ray_lost()
            for seat in self._seats:
                seat.dismiss() if lost else seat.kill()
        self._queue.clear()
        self._done.clear()
        leave_ray()

    def _seat(self, cpus: float, losses: int = 0) -> "_Seat":
        return _Seat(self._make_measure, cpus, losses, self._clock())

    def _send(self) -> None:
        ready = [seat for seat in self._seats if seat.is_ready]
        while self._queue and ready:
            idlest = min(ready, key=lambda seat: len(seat.parts))
            if len(idlest.parts) == _IN_FLIGHT:
                return
            idlest.send(self._queue.popleft(), self._clock())

    def _receive(self) -> None:
        import ray

        calls = [call for seat in self._seats for call in seat.pending()]
        if not calls:
            return
        ended, _ = ray.wait(calls, num_returns=len(calls), timeout=0)
        ready = set(ended)
        for index, seat in enumerate(self._seats):
            try:
                self._hear(seat, ready)
            except _Lost as loss:
                self._seats[index] = self._replacement(seat, str(loss))
        self._place()

    def _hear(self, seat: "_Seat", ready: set[Any]) -> None:
        """All that one actor has to say; an actor that has been silent for too long is lost."""
        seat.hear(ready)
        now = self._clock()
        while seat.parts and seat.parts[0][0] in ready:
            call, part = seat.parts[0]
            measures = _result(call)
            seat.parts.popleft()
            seat.since = now
            whole = self._assembly.put(part, measures)
            if whole is not None:
                self._done.append(whole)
        if seat.parts and now - seat.since > self._limits.part_s:
            raise _Lost(f"it {self._limits.over_part()}")
        if seat.is_starting and now - seat.since > self._limits.start_s:
            raise _Lost(f"it {self._limits.at_start()}")

    def _replacement(self, seat: "_Seat", how: str) -> "_Seat":
        """An actor in the place of a lost one; the part that it was at may be the cause."""
        seat.kill()
        held = [part for _, part in seat.parts]
        if held:
            _log.warning("A worker was lost over %s, and is replaced: %s", held[0], how)
            held[0] = held[0].lost(f"ended: {how}")
        elif not seat.is_ready and seat.losses + 1 >= ATTEMPTS:
            raise PoolError(f"{ATTEMPTS} workers in a row were lost while they started: {how}")
        self._queue.extendleft(reversed(held))
        return self._seat(seat.cpus, 0 if seat.is_ready else seat.losses + 1)

    def _place(self) -> None:
        """Engines may hold every CPU for as long as the run lasts; then share theirs."""
        for index, seat in enumerate(self._seats):
            if seat.pid is None and seat.cpus and self._clock() - seat.since > _PLACE_S:
                _log.warning(
                    "No node has %g free CPUs for a worker; it runs beside others.", seat.cpus
                )
                seat.kill()
                self._seats[index] = self._seat(0)


class _Actor:
    """The worker's side."""

    def __init__(self, make_measure: MeasureFactory) -> None:
        self._measuring = Measuring(make_measure)

    def pid(self) -> int:
        return os.getpid()

    def start(self) -> bytes:
        return self._measuring.start()

    def measure(self, payload: bytes) -> bytes:
        return self._measuring.measure(payload)

    def end(self) -> None:
        os._exit(0)


@cache
def _worker_actor() -> Any:
    """One class for all workers: Ray's head is told of each class, and waited for."""
    import ray

    return ray.remote(_Actor)


class _Seat:
    """One actor, and what it was sent."""

    def __init__(
        self, make_measure: MeasureFactory, cpus: float, losses: int, since: float
    ) -> None:
        self._actor = (
            _worker_actor()
            .options(
                num_cpus=cpus,
                num_gpus=0,
                max_restarts=0,
                max_task_retries=0,
                scheduling_strategy="SPREAD",
                runtime_env={"env_vars": ENVIRONMENT},
            )
            .remote(make_measure)
        )
        self._placing: Any = self._actor.pid.remote()
        self._starting: Any = self._actor.start.remote()
        self.cpus = cpus
        self.losses = losses
        """Actors lost in this place, one after the other, before they were ready."""
        self.since = since
        """When it was asked for, or got the part that it is at."""
        self.pid: int | None = None
        self.parts: deque[tuple[Any, Part]] = deque()
        """What it has not answered, in order."""

    @property
    def is_ready(self) -> bool:
        return self._starting is None

    @property
    def is_starting(self) -> bool:
        """Whether all that it waits for is itself."""
        return not self.is_ready and (self.pid is not None or not self.cpus)

    def pending(self) -> list[Any]:
        """The calls that news may come from."""
        calls = [self._placing, self._starting, *(call for call, _ in self.parts)]
        return [call for call in calls if call is not None]

    def hear(self, ready: set[Any]) -> None:
        """Whether it has a place, and has started."""
        if self._placing in ready:
            self.pid = _get(self._placing)
            self._placing = None
        if self._starting in ready:
            _result(self._starting)
            self._starting = None

    def send(self, part: Part, now: float) -> None:
        if not self.parts:
            self.since = now
        self.parts.append((self._actor.measure.remote(pack(part.turns)), part))

    def kill(self) -> None:
        import ray

        ray.kill(self._actor)

    def dismiss(self) -> None:
        """Let it end by itself, where Ray cannot kill."""
        self._actor.end.remote()


class _Lost(Exception):
    """An actor is gone, or what it said."""


def _result(call: Any) -> Any:
    """The answer of a call that has ended; raises the error that it is."""
    answer = unpack(_get(call))
    if isinstance(answer, ArboristError):
        raise answer
    return answer


def _get(call: Any) -> Any:
    import ray
    from ray.exceptions import RayError, RayTaskError

    try:
        return ray.get(call)
    except RayTaskError as error:
        raise PoolError(f"A worker failed: {in_one_line(error)}") from error
    except RayError as error:
        raise _Lost(in_one_line(error)) from error
