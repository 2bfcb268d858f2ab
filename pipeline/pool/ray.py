"""A pool whose engines are Ray actors, on a running cluster or on one that it starts for itself."""

import time
from collections.abc import Callable, Sequence

from pipeline.pool.hosts import Host
from pipeline.pool.pool import GroupPlan, PoolLimits
from pipeline.pool.ray_connection import (
    found_in_ray,
    is_own_ray,
    is_ray_lost,
    join_ray,
    leave_ray,
    require_ray,
)
from pipeline.pool.ray_engines import RayHost
from pipeline.pool.ray_places import asks, found_cluster, require_places
from pipeline.pool.supervise import SupervisedPool
from schemas.errors import EngineError

_CLOSE_S = 20.0
"""How long engines have to free their devices at the end, at most."""

_LOST_CLOSE_S = 3.0
"""The same, where the Ray that they belong to is lost."""


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
            if isinstance(host, RayHost) and host.pid is not None
        }


class _RayFleet:
    def __init__(self, groups: Sequence[GroupPlan], address: str | None) -> None:
        self._groups = groups
        self._address = address
        self._joined = False
        self._hosts: list[RayHost] = []

    def open(self) -> None:
        join_ray(self._address, cpus=_cpus(self._groups))
        self._joined = True
        if is_own_ray():
            _require_gpus(self._groups)
        require_places(self._groups, found_cluster())

    def launch(self, group: GroupPlan, incarnation: int) -> Host:
        host = RayHost(group, incarnation)
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
            loaded = [host for host in hosts if isinstance(host, RayHost) and host.loaded]
            if closing := [host.close(wait_s) for host in loaded]:
                ray.wait(closing, num_returns=len(closing), timeout=wait_s)
            for host in hosts:
                host.kill()
        leave_ray()


# What the groups ask of it.


def _cpus(groups: Sequence[GroupPlan]) -> float:
    """All the CPUs asked for. They are a plan's words, so one machine of its own grants them."""
    return sum(group.cpus * group.ceiling for group in groups)


def _require_gpus(groups: Sequence[GroupPlan]) -> None:
    import ray

    asked = sum(group.gpus * group.least for group in groups)
    if asked > ray.cluster_resources().get("GPU", 0):
        shortages = [_shortage(group) for group in groups if group.gpus]
        raise EngineError(
            f"The engines ask for {asked:g} GPUs, more than this machine has: "
            f"{'; '.join(shortages)}. Ask for fewer replicas, or name a cluster (`ray_address`)."
        )


def _shortage(group: GroupPlan) -> str:
    return f"{asks(group)}, and {found_in_ray()}"
