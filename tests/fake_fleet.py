"""Fleets whose engines answer what a test wrote down, on a clock that only the test moves."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from pipeline.pool.engine_loop import Exchange
from pipeline.pool.pool import GroupPlan, PoolLimits
from schemas.records import Completion, EngineReport, EngineStats, Request, Sampling

REPORT = EngineReport("fake", "1", "weights", "none", "none")
LIMITS = PoolLimits(attempts=3, restarts=2, start_s=100, stall_s=30, machine_restarts=5, wait_s=300)


@dataclass
class FakeHost:
    """An engine that answers what the test wrote down."""

    clock: "Clock"
    placed_at: float = 0.0
    loaded_at: float = 0.0
    load_s: float = 0.0
    told_at: float | None = None
    """When it was told to load."""
    dies_of: Exception | None = None
    """With work, or while it loads if it never does."""
    advances: bool = False
    answers: bool = False
    sent: list[Request] = field(default_factory=list)
    steps: int = 0
    killed: bool = False

    def is_placed(self) -> bool:
        return self.clock.now >= self.placed_at

    def load(self) -> None:
        assert self.is_placed()
        assert self.told_at is None
        self.told_at = self.clock.now

    def report(self) -> EngineReport | None:
        if self.dies_of and self.loaded_at == float("inf"):
            raise self.dies_of
        ready = self.told_at + self.load_s if self.told_at is not None else self.loaded_at
        return REPORT if self.clock.now >= max(self.loaded_at, ready) else None

    def send(self, requests: Sequence[Request]) -> None:
        self.sent += requests

    def receive(self) -> Exchange | None:
        if self.dies_of and self.sent:
            raise self.dies_of
        if self.advances:
            self.steps += 1
        keys = [key for request in self.sent for key in request.keys] if self.answers else []
        if self.answers:
            self.sent = []
        outcomes = [Completion(key, np.zeros(0, dtype=np.int32), "", "stop") for key in keys]
        return Exchange(outcomes, EngineStats(steps=self.steps))

    def kill(self) -> None:
        self.killed = True


@dataclass
class Clock:
    now: float = 0.0

    def __call__(self) -> float:
        return self.now


class FakeFleet:
    """Launches the hosts it was given, one after the other; waiting moves the clock."""

    def __init__(self, clock: Clock, hosts: list[FakeHost]) -> None:
        self.clock = clock
        self.hosts = hosts
        self.launched = 0

    def open(self) -> None:
        pass

    def launch(self, group: GroupPlan, incarnation: int) -> FakeHost:
        self.launched += 1
        return self.hosts[incarnation]

    def wait(self, timeout_s: float) -> None:
        self.clock.now += timeout_s

    def shortage(self, group: GroupPlan) -> str:
        return "there are 0 GPUs"

    def close(self, hosts: Sequence[FakeHost], patience_s: float) -> None:
        for host in hosts:
            host.kill()


def make_request(parent: str = "p", n: int = 1, *, group: str = "main") -> Request:
    prompt = np.zeros(1, dtype=np.int32)
    return Request("w0", parent, 0, n, prompt, Sampling(max_tokens=1), group=group)


def never() -> None:
    raise AssertionError("the fleet makes the engines")


@dataclass
class Tenant(FakeHost):
    """An engine that gets a place when there is room, and works until its test says otherwise."""

    gpus: float = 0.0
    group: str = ""
    placed: bool = False

    def is_placed(self) -> bool:
        if self.dies_of:
            raise self.dies_of
        return self.placed

    def load(self) -> None:
        assert self.placed and self.told_at is None
        self.told_at = self.clock.now

    def report(self) -> EngineReport | None:
        if self.dies_of:
            raise self.dies_of
        assert self.told_at is not None
        return REPORT if self.clock.now >= self.told_at + self.load_s else None

    def receive(self) -> Exchange | None:
        if self.dies_of:
            raise self.dies_of
        return super().receive()

    @property
    def loads(self) -> bool:
        """Whether it is about it."""
        told = self.told_at is not None and not self.killed
        return told and self.clock.now < self.told_at + self.load_s


class Machines:
    """GPUs, which go to those first that ask first; a second passes with each wait at most."""

    def __init__(self, clock: Clock, gpus: float, load_s: float = 0.0) -> None:
        self.clock, self.gpus, self.load_s = clock, gpus, load_s
        self.tenants: list[Tenant] = []
        self.most_loading = 0

    def open(self) -> None:
        pass

    def launch(self, group: GroupPlan, incarnation: int) -> Tenant:
        tenant = Tenant(
            self.clock, load_s=self.load_s, answers=True, gpus=group.gpus, group=group.name
        )
        self.tenants.append(tenant)
        return tenant

    def wait(self, timeout_s: float) -> None:
        self.clock.now += timeout_s
        self.settle()
        self.most_loading = max(self.most_loading, sum(one.loads for one in self.here()))

    def settle(self) -> None:
        """Give places to those that wait."""
        for one in self.tenants:
            if not one.placed and not one.killed:
                one.placed = sum(t.gpus for t in self.here()) + one.gpus <= self.gpus

    def here(self, group: str = "") -> list[Tenant]:
        """Those that have a place."""
        return [
            one
            for one in self.tenants
            if one.placed and not one.killed and (not group or one.group == group)
        ]

    def asking(self, group: str = "") -> list[Tenant]:
        """Those that wait for a place."""
        return [
            one
            for one in self.tenants
            if not one.placed and not one.killed and (not group or one.group == group)
        ]

    def shortage(self, group: GroupPlan) -> str:
        return f"there are {self.gpus:g} GPUs"

    def close(self, hosts: Sequence[FakeHost], patience_s: float) -> None:
        for host in hosts:
            host.kill()
