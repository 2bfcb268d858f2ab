"""A pool whose engines are threads of this process."""

import threading
import time
from collections.abc import Callable, Sequence
from functools import partial

from pipeline.pool.engine_loop import EngineLoop, Exchange
from pipeline.pool.hosts import Host
from pipeline.pool.pool import GroupPlan, PoolLimits
from pipeline.pool.supervise import SupervisedPool
from schemas.records import EngineReport, Request

_CLOSE_S = 10.0
"""How long engines have to free their devices at the end, at most."""


class LocalPool(SupervisedPool):
    """Engines in this process. One that hangs is cut off, since a thread cannot be killed: it lasts
    as long as its start or its step, and holds its device so long."""

    def __init__(
        self,
        groups: Sequence[GroupPlan],
        limits: PoolLimits,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(groups, limits, _LocalFleet(), clock=clock)


class _LocalFleet:
    def __init__(self) -> None:
        self._news = threading.Event()

    def open(self) -> None:
        pass

    def launch(self, group: GroupPlan, incarnation: int) -> Host:
        return _LocalHost(partial(EngineLoop, group.make_engine, incarnation, wake=self._news.set))

    def wait(self, timeout_s: float) -> None:
        self._news.wait(timeout_s)
        self._news.clear()

    def shortage(self, group: GroupPlan) -> str:
        return "threads always find a place"

    def close(self, hosts: Sequence[Host], patience_s: float) -> None:
        for host in hosts:
            host.kill()
        deadline = time.monotonic() + min(_CLOSE_S, patience_s)
        for host in hosts:
            if isinstance(host, _LocalHost):
                host.close(max(0.0, deadline - time.monotonic()))


class _LocalHost:
    def __init__(self, begin: Callable[[], EngineLoop]) -> None:
        self._begin = begin
        self._loop: EngineLoop | None = None

    def is_placed(self) -> bool:
        return True

    def load(self) -> None:
        self._loop = self._begin()

    def report(self) -> EngineReport | None:
        return self._loop.start_report(0) if self._loop else None

    def send(self, requests: Sequence[Request]) -> None:
        if self._loop and requests:
            self._loop.put(requests)

    def receive(self) -> Exchange | None:
        return self._loop.exchange((), 0) if self._loop else None

    def kill(self) -> None:
        self.close(0.0)

    def close(self, timeout_s: float) -> None:
        if self._loop:
            self._loop.close(timeout_s)
