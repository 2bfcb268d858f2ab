"""A run by the real command on a cluster whose processes are killed under it."""

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from pipeline.storage.open import find_run
from schemas.errors import RETRY
from schemas.execution_spec import RunSpec
from tests.builders import (
    ODD,
    assert_whole,
    make_spec,
    memory_store,
    rows_of,
    run_scripted,
    write_spec,
)
from tests.chaos.cluster_schedule import ClusterFault, ClusterSchedule
from tests.command import manifests_in
from tests.processes import is_running, survivors, until
from tests.ray_cluster import HEAD_LOST_S, REPOSITORY, RayCluster

PATIENCE_S = 120.0
"""For whatever a run does next."""

GONE_S = 30.0
"""For the processes of a run after its end, on a machine that is busy."""

NOTICE_S = HEAD_LOST_S + 25.0
"""For a driver to end after its head was lost."""

ENGINE, WORKER = "EngineActor", "_Actor"
LOADING = "loading engines"


def cluster_spec(**execution: Any) -> RunSpec:
    """A run that takes a few seconds, with all that may happen to a turn."""
    return make_spec(
        trees=5,
        scripted={**ODD, "step_s": 0.08},
        group={"replicas": 2, "cpus": 1},
        workers=1,
        attempts=50,
        waves_in_flight=2,
        **execution,
    )


class Unharmed(NamedTuple):
    """The run that never fails."""

    rows: list[dict[str, Any]]
    waves: int


def unharmed() -> Unharmed:
    """What every run must come to."""
    store = memory_store()
    snapshot = run_scripted(store, make_spec(trees=5))
    return Unharmed(rows_of(store), len(snapshot.manifests))


@dataclass
class ClusterScore:
    """What was done to runs, and what it cost them."""

    injected: Counter[str] = field(default_factory=Counter)
    survived: Counter[str] = field(default_factory=Counter)
    resumed: Counter[str] = field(default_factory=Counter)
    notice_s: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    replace_s: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    schedules: int = 0
    attempts: int = 0
    lost: int = 0
    doubled: int = 0

    def figures(self) -> dict[str, Any]:
        """As one JSON object."""
        return {
            "suite": "cluster",
            "schedules": self.schedules,
            "attempts": self.attempts,
            "faults": dict(self.injected),
            "survived": dict(self.survived),
            "resumed": dict(self.resumed),
            "rows_lost": self.lost,
            "rows_doubled": self.doubled,
            "notice_s": {kind: _spread(times) for kind, times in self.notice_s.items()},
            "replace_s": {kind: _spread(times) for kind, times in self.replace_s.items()},
        }


def _spread(times: list[float]) -> dict[str, float]:
    ordered = sorted(times)
    return {"median": round(ordered[len(ordered) // 2], 2), "most": round(ordered[-1], 2)}


class Driver:
    """The command, running, and each of its lines as it comes."""

    def __init__(self, spec: Path, environment: dict[str, str]) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "jobs.cli", "generate", str(spec)],
            cwd=REPOSITORY,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.lines: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def ended(self) -> bool:
        return self.process.poll() is not None

    def said(self, words: str) -> int:
        """How many of its lines hold these words."""
        return sum(words in line for line in self.lines)

    @property
    def text(self) -> str:
        """All of it, in one line."""
        return " ".join(" ".join(self.lines).split())

    def end(self) -> int:
        """Its exit code, once it has ended."""
        code = self.process.wait(PATIENCE_S)
        self._reader.join(PATIENCE_S)
        return code

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        self._reader.join()

    def _read(self) -> None:
        assert self.process.stdout
        for line in self.process.stdout:
            self.lines.append(line)


class ClusterRun:
    """One run under one schedule."""

    def __init__(
        self, cluster: RayCluster, folder: Path, expected: Unharmed, score: ClusterScore
    ) -> None:
        self._cluster, self._folder, self._score = cluster, folder, score
        self._expected = expected
        self._location = folder / "runs"
        self._driver: Driver
        self._chance: random.Random

    def prove(self, schedule: ClusterSchedule) -> None:
        """Run it to the end, whatever is killed, and compare it with the run that never failed."""
        self._chance = random.Random(schedule.seed)
        self._score.schedules += 1
        self._start()
        try:
            for fault in schedule.faults:
                self._suffer(fault)
            code = self._driver.end()
            assert code == 0, self._driver.text
        finally:
            self._driver.kill()
        self._compare(str(schedule))
        assert self._left() == []

    # The driver comes and goes.

    def _start(self) -> None:
        spec = cluster_spec(
            pool="ray", ray_address=self._cluster.address, location=str(self._location)
        )
        file = write_spec(spec, self._folder / "spec.yaml")
        self._score.attempts += 1
        self._driver = Driver(file, self._cluster.environment)

    def _suffer(self, fault: ClusterFault) -> None:
        """One fault, and the end of the driver where the fault is one that ends it."""
        who, *_ = fault.kind.split()
        before = self._committed()
        self._reach(fault)
        if self._driver.ended:
            # It was through before its time came: the run is sealed, and started again for others.
            assert self._driver.end() == 0, self._driver.text
            self._start()
            return
        {
            "driver": self._hit_driver,
            "engine": self._hit_engine,
            "worker": self._hit_worker,
            "node": self._hit_node,
            "head": self._hit_head,
        }[who](fault.kind)
        assert before <= self._committed()

    def _reach(self, fault: ClusterFault) -> None:
        """Wait for the time of a fault, or for the end of the run."""
        phase = fault.kind.split()[-1]
        if phase == "planning":
            self._rest(fault.after_s)
        elif phase == "loading":
            self._await(lambda: self._driver.said(LOADING))
            self._rest(fault.after_s)
        elif phase == "sealing":
            self._await(lambda: len(self._committed()) == self._expected.waves)
        elif fault.kind == "engine starting killed":
            self._await(lambda: self._cluster.pids(ENGINE))
        else:
            there = len(self._committed())
            self._await(lambda: len(self._committed()) >= there + fault.waves)

    def _await(self, reached: Callable[[], object]) -> None:
        until(lambda: self._driver.ended or reached(), PATIENCE_S)

    def _rest(self, seconds: float) -> None:
        begin = time.monotonic()
        self._await(lambda: time.monotonic() > begin + seconds)

    # What is hit.

    def _hit_driver(self, kind: str) -> None:
        self._score.injected[kind] += 1
        killed = "killed" in kind
        number = signal.SIGKILL if killed else signal.SIGTERM
        self._driver.process.send_signal(number)
        begin = time.monotonic()
        code = self._driver.end()
        self._score.notice_s[kind].append(time.monotonic() - begin)
        if killed:
            assert code == -signal.SIGKILL
        elif "growing" in kind and code:
            assert code == RETRY, (code, self._driver.text)
        assert "Traceback" not in self._driver.text, self._driver.text
        begin = time.monotonic()
        assert self._left() == []
        self._score.replace_s[f"{kind}: its processes are gone"].append(time.monotonic() - begin)
        self._resume(kind)

    def _hit_engine(self, kind: str) -> None:
        wanted: list[int] = []

        def found() -> bool:
            engines = self._cluster.pids(ENGINE).items()
            wanted[:] = [pid for pid, doing in engines if _is(kind, doing)]
            return bool(wanted)

        self._await(found)
        if wanted:
            victim = self._chance.choice(wanted)
            self._replaced(kind, ENGINE, lambda: _kill(victim))

    def _hit_worker(self, kind: str) -> None:
        self._await(lambda: self._cluster.pids(WORKER))
        workers = list(self._cluster.pids(WORKER))
        if workers:
            self._replaced(kind, WORKER, lambda: _kill(workers[0]))

    def _hit_node(self, kind: str) -> None:
        nodes = self._cluster.nodes_of(ENGINE)
        if nodes:
            index = self._chance.choice(nodes)
            self._replaced(kind, ENGINE, lambda: self._kill_node(index))
            self._cluster.replace_node(index)

    def _kill_node(self, index: int) -> bool:
        self._cluster.kill_node(index)
        return True

    def _replaced(self, kind: str, actor: str, kill: Callable[[], bool]) -> None:
        """Others take the places of those that are killed, while the run goes on."""
        before, told = set(self._cluster.pids(actor)), self._driver.said("was lost")
        begin = time.monotonic()
        if not kill():
            return
        self._score.injected[kind] += 1
        self._await(
            lambda: self._driver.said("was lost") > told or set(self._cluster.pids(actor)) - before
        )
        # The driver calls no engine that is idle, and misses none that it never needs again.
        if not self._driver.ended:
            self._score.notice_s[kind].append(time.monotonic() - begin)
        self._await(lambda: set(self._cluster.pids(actor)) - before)
        if not self._driver.ended:
            self._score.replace_s[kind].append(time.monotonic() - begin)
        self._score.survived[kind] += 1

    def _hit_head(self, kind: str) -> None:
        """The driver ends by itself in time, and says what to do."""
        self._score.injected[kind] += 1
        begin = time.monotonic()
        self._cluster.kill_head(kind.split()[1])
        code = self._driver.end()
        took = time.monotonic() - begin
        if code or "is sealed" not in self._driver.text:
            assert code == RETRY, (code, self._driver.text)
            assert "Ray was lost" in self._driver.text
            assert "start the same command again" in self._driver.text
            assert took < NOTICE_S
            self._score.notice_s[kind].append(took)
        assert self._left() == []
        begin = time.monotonic()
        self._cluster.start()
        self._score.replace_s[f"{kind}: another cluster"].append(time.monotonic() - begin)
        self._resume(kind)

    def _resume(self, kind: str) -> None:
        """The same command."""
        self._score.resumed[kind] += 1
        self._start()

    # What is left of it.

    def _committed(self) -> set[str]:
        return {file.name for file in manifests_in(self._location)}

    def _left(self) -> list[str]:
        """Processes of the run that still run after a while."""
        pids = {**self._cluster.pids(ENGINE), **self._cluster.pids(WORKER)}
        return survivors(pids, GONE_S)

    def _compare(self, because: str) -> None:
        store = find_run(str(self._location))
        rows = rows_of(store)
        ids = Counter(row["node_id"] for row in rows)
        self._score.doubled += ids.total() - len(ids)
        self._score.lost += len({row["node_id"] for row in self._expected.rows} - set(ids))
        assert_whole(store, self._expected.rows, because)


def _is(kind: str, doing: str) -> bool:
    """Whether an engine does what a fault looks for; one that has no work is called by nobody."""
    return "busy" not in kind if doing.endswith(ENGINE) else "idle" not in kind


def _kill(pid: int) -> bool:
    """Whether it was there to be killed."""
    if not is_running(pid):
        return False
    os.kill(pid, signal.SIGKILL)
    return True
