"""A pool whose engines are Ray actors, one process each, anywhere in a cluster.

An actor only forwards to the `EngineLoop` inside it and is never restarted by Ray: each incarnation
is a new actor, so that what a lost one still says is known to be late. Requests and outcomes cross
packed. One call that listens is open to each engine that has work; more requests go beside it.
"""

import math
import os
import threading
import time
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

from pipeline.pool.engine_loop import EngineLoop, Exchange
from pipeline.pool.hosts import Host
from pipeline.pool.pool import EngineFactory, GroupPlan, PoolLimits
from pipeline.pool.ray_connection import (
    found_in_ray,
    in_one_line,
    is_own_ray,
    is_ray_lost,
    join_ray,
    leave_ray,
    require_ray,
)
from pipeline.pool.restarts import Killed, MachineLost, NodeLost, Preempted
from pipeline.pool.supervise import SupervisedPool
from pipeline.pool.wire import pack_outcomes, pack_requests, unpack_outcomes, unpack_requests
from schemas.errors import ArboristError, EngineError
from schemas.records import EngineReport, EngineStats, Request

_LISTEN_S = 0.5
"""How long a call that listens stays open when nothing is finished."""

_LINGER_S = 0.05
"""How long a finished outcome waits for company, since each call costs the driver."""

_NODE_DIED = "its node has died"
"""Ray's words, since its error has no field for it."""

_CLOSE_S = 20.0
"""How long engines have to free their devices at the end, at most."""

_LOST_CLOSE_S = 3.0
"""The same, where the Ray that they belong to is lost."""

_EXIT_S = 1.0
"""How long a closed engine's process then lives: enough to answer."""


class RayPool(SupervisedPool):
    """Engines in Ray actors, on a running cluster or on one that the pool starts for itself."""

    def __init__(
        self,
        groups: Sequence[GroupPlan],
        limits: PoolLimits,
        address: str | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Joins Ray if it runs here, else `address` or RAY_ADDRESS, else starts it here."""
        super().__init__(groups, limits, _RayFleet(groups, address), clock=clock)

    def pids(self) -> dict[str, int]:
        """The processes of the engines that have a place, by engine name."""
        hosts = {member.name: member.host for member in self._members}
        return {
            name: host.pid
            for name, host in hosts.items()
            if isinstance(host, _RayHost) and host.pid is not None
        }


class EngineActor:
    """The engine's side: packed requests in, packed outcomes out."""

    def __init__(self, make_engine: EngineFactory, incarnation: int) -> None:
        self._loop = EngineLoop(make_engine, incarnation)

    def pid(self) -> int:
        """The process that the engine lives in."""
        return os.getpid()

    def start_report(self) -> EngineReport:
        """What the engine loaded, once it has."""
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


class _RayFleet:
    def __init__(self, groups: Sequence[GroupPlan], address: str | None) -> None:
        self._groups = groups
        self._address = address
        self._joined = False
        self._hosts: list[_RayHost] = []

    def launch(self, group: GroupPlan, incarnation: int) -> Host:
        if not self._joined:
            join_ray(self._address, cpus=_cpus(self._groups))
            self._joined = True
            if is_own_ray():
                _require_gpus(self._groups)
        host = _RayHost(group, incarnation)
        self._hosts.append(host)
        return host

    def wait(self, timeout_s: float) -> None:
        import ray

        require_ray()
        self._hosts = [host for host in self._hosts if not host.killed]
        refs = [ref for host in self._hosts for ref in host.pending()]
        if not refs:
            time.sleep(timeout_s)
            return
        ray.wait(refs, num_returns=1, timeout=timeout_s)
        ended, _ = ray.wait(refs, num_returns=len(refs), timeout=0)
        ready = set(ended)
        for host in self._hosts:
            host.ready = ready

    def shortage(self, group: GroupPlan) -> str:
        return _shortage(group)

    def close(self, hosts: Sequence[Host], patience_s: float) -> None:
        if not self._joined:
            return
        import ray

        self._joined = False
        if ray.is_initialized():
            wait_s = min(_LOST_CLOSE_S if is_ray_lost() else _CLOSE_S, patience_s)
            loaded = [host for host in hosts if isinstance(host, _RayHost) and host.loaded]
            if closing := [host.close(wait_s) for host in loaded]:
                ray.wait(closing, num_returns=len(closing), timeout=wait_s)
            for host in hosts:
                host.kill()
        leave_ray()


class _RayHost:
    def __init__(self, group: GroupPlan, incarnation: int) -> None:
        threads = max(1, math.floor(group.cpus))
        self._actor = (
            _engine_actor()
            .options(
                num_cpus=group.cpus,
                num_gpus=group.gpus,
                max_restarts=0,
                max_task_retries=0,
                max_concurrency=4,
                runtime_env={"env_vars": {"OMP_NUM_THREADS": str(threads)}},
            )
            .remote(group.make_engine, incarnation)
        )
        self._placing: Any = self._actor.pid.remote()
        self._reporting: Any = self._actor.start_report.remote()
        self._listening: Any = None
        self.pid: int | None = None
        self.killed = False
        self.ready: set[Any] = set()
        """Those of its pending calls that have ended, as of the fleet's last wait."""

    @property
    def placed(self) -> bool:
        return self.pid is not None

    @property
    def loaded(self) -> bool:
        """Whether it holds a device that it can free in order; one that loads cannot be stopped."""
        return self._reporting is None

    def pending(self) -> list[Any]:
        """The calls that news may come from."""
        calls = [self._placing, self._reporting, self._listening]
        return [call for call in calls if call is not None]

    def is_placed(self) -> bool:
        if self._placing in self.ready:
            ended, self._placing = self._placing, None
            self.pid = _result(ended)
        return self.placed

    def report(self) -> EngineReport | None:
        if not self.placed or self._reporting not in self.ready:
            return None
        ended, self._reporting = self._reporting, None
        report: EngineReport = _result(ended)
        return report

    def send(self, requests: Sequence[Request]) -> None:
        payload = pack_requests(requests) if requests else b""
        if self._listening is None:
            self._listening = self._actor.exchange.remote(payload, _LISTEN_S, _LINGER_S)
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


# What the groups ask of it.


def _cpus(groups: Sequence[GroupPlan]) -> float:
    """All the CPUs asked for. They are a plan's words, so one machine of its own grants them."""
    return sum(group.cpus * group.replicas for group in groups)


def _require_gpus(groups: Sequence[GroupPlan]) -> None:
    import ray

    asked = sum(group.gpus * group.replicas for group in groups)
    if asked > ray.cluster_resources().get("GPU", 0):
        shortages = [_shortage(group) for group in groups if group.gpus]
        raise EngineError(
            f"The engines ask for {asked:g} GPUs, more than this machine has: "
            f"{'; '.join(shortages)}. Ask for fewer replicas, or name a cluster (`ray_address`)."
        )


def _shortage(group: GroupPlan) -> str:
    return (
        f"each engine of group {group.name!r} asks for {group.cpus:g} CPUs and {group.gpus:g} "
        f"GPUs on one node, and {found_in_ray()}"
    )
