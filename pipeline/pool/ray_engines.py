"""One engine as a Ray actor: a process of its own, anywhere in a cluster.

The actor only forwards to the `EngineLoop` inside it and is never restarted by Ray: each
incarnation is a new actor, so that what a lost one still says is known to be late. Requests and
outcomes cross packed. One call that listens is open to each engine that has work; more requests go
beside it.
"""

import math
import os
import threading
from collections.abc import Sequence
from functools import cache, partial
from typing import Any

from pipeline.pool.engine_loop import EngineLoop, Exchange
from pipeline.pool.pool import EngineFactory, GroupPlan
from pipeline.pool.ray_connection import in_one_line
from pipeline.pool.ray_places import Place
from pipeline.pool.restarts import Killed, MachineLost, NodeLost, Preempted
from pipeline.pool.wire import pack_outcomes, pack_requests, unpack_outcomes, unpack_requests
from schemas.errors import ArboristError, EngineError
from schemas.records import EngineReport, EngineStats, Request

_LISTEN_S = 0.5
"""How long a call that listens stays open when nothing is finished."""

_LINGER_S = 0.05
"""How long a finished outcome waits for company, since each call costs the driver..."""

_CALLS_PER_S = 200
"""...and longer where more engines would make more calls than these. An engine holds twice the work
that it can have running, and one that has run out of work waits for nothing."""

_NODE_DIED = "its node has died"
"""Ray's words, since its error has no field for it."""

_EXIT_S = 1.0
"""How long a closed engine's process then lives: enough to answer."""


class EngineActor:
    """The engine's side: packed requests in, packed outcomes out."""

    def __init__(self, make_engine: EngineFactory, incarnation: int) -> None:
        self._begin = partial(EngineLoop, make_engine, incarnation)
        self._loop: EngineLoop

    def pid(self) -> int:
        """The process that the engine lives in."""
        return os.getpid()

    def load(self) -> EngineReport:
        """Load the engine; what it loaded, once it has."""
        self._loop = self._begin()
        while (report := self._loop.start_report(60)) is None:
            pass
        return report

    def put(self, payload: bytes) -> None:
        """Hand requests to the engine."""
        self._loop.put(unpack_requests(payload))

    def exchange(self, payload: bytes, wait_s: float, linger_s: float) -> tuple[bytes, EngineStats]:
        """Hand requests to the engine, and wait for what it finishes."""
        requests = unpack_requests(payload) if payload else []
        outcomes, stats = self._loop.exchange(requests, wait_s, linger_s=linger_s)
        return (pack_outcomes(outcomes) if outcomes else b""), stats

    def close(self, timeout_s: float) -> bool:
        """Free the device, and end: where Ray's head is lost, nobody else would see to that."""
        closed = self._loop.close(timeout_s)
        threading.Timer(_EXIT_S, os._exit, [0]).start()
        return closed


@cache
def _engine_actor() -> Any:
    """One class for all engines: Ray's head is told of each class, and waited for."""
    import ray

    return ray.remote(EngineActor)


class RayHost:
    """One engine's actor, as its pool sees it."""

    def __init__(self, group: GroupPlan, incarnation: int) -> None:
        self._place = Place(group)
        self._linger_s = max(_LINGER_S, group.ceiling / _CALLS_PER_S)
        self._actor = (
            _engine_actor()
            .options(
                **self._place.options(),
                max_restarts=0,
                max_task_retries=0,
                max_concurrency=4,
                runtime_env={"env_vars": _environment(group)},
            )
            .remote(group.make_engine, incarnation)
        )
        self._placing: Any = self._actor.pid.remote()
        self._reporting: Any = None
        self._listening: Any = None
        self.pid: int | None = None
        self.loaded = False
        """Whether it holds a device that it can free in order; one that loads cannot be stopped."""
        self.killed = False
        self.ready: set[Any] = set()
        """Those of its pending calls that have ended, as of the fleet's last wait."""

    @property
    def placed(self) -> bool:
        return self.pid is not None

    def pending(self) -> list[Any]:
        """The calls that news may come from."""
        calls = [self._placing, self._reporting, self._listening]
        return [call for call in calls if call is not None]

    def is_placed(self) -> bool:
        if self._placing in self.ready:
            ended, self._placing = self._placing, None
            self.pid = _result(ended)
            self._place.require_whole_stages()
        return self.placed

    def load(self) -> None:
        self._reporting = self._actor.load.remote()

    def report(self) -> EngineReport | None:
        if self._reporting not in self.ready:
            return None
        ended, self._reporting = self._reporting, None
        report: EngineReport = _result(ended)
        self.loaded = True
        return report

    def send(self, requests: Sequence[Request]) -> None:
        payload = pack_requests(requests) if requests else b""
        if self._listening is None:
            self._listening = self._actor.exchange.remote(payload, _LISTEN_S, self._linger_s)
        elif payload:
            self._actor.put.remote(payload)

    def receive(self) -> Exchange | None:
        if self._listening not in self.ready:
            return None
        ended, self._listening = self._listening, None
        payload, stats = _result(ended)
        return Exchange(unpack_outcomes(payload) if payload else [], stats)

    def close(self, wait_s: float) -> Any:
        return self._actor.close.remote(wait_s)

    def kill(self) -> None:
        import ray

        self.killed = True
        ray.kill(self._actor)
        self._place.free()


def _result(ended: Any) -> Any:
    """The result of a call that has ended; what ended the engine, as an error of ours."""
    import ray
    from ray.exceptions import RayActorError, RayError, RayTaskError

    try:
        return ray.get(ended)
    except RayTaskError as error:
        if isinstance(error.cause, ArboristError):
            raise error.cause from None
        raise EngineError(f"its actor failed: {error.cause}") from error
    except RayActorError as error:
        raise _machine_lost(error) from error
    except RayError as error:
        raise EngineError(f"Ray lost it: {in_one_line(error)}") from error


def _machine_lost(error: Any) -> MachineLost:
    """What is known of a process that is gone."""
    said = in_one_line(error)
    if error.preempted:
        return Preempted(f"its node was preempted: {said}")
    if _NODE_DIED in said:
        return NodeLost(f"its node is gone: {said}")
    return Killed(f"its process is gone: {said}")


def _environment(group: GroupPlan) -> dict[str, str]:
    """A person's own choice wins."""
    threads = max(1, math.floor(group.cpus))
    return {"OMP_NUM_THREADS": str(threads), **group.environment}
