"""A Ray of several nodes on this machine, in processes of its own, any of which may be killed.

The keeper, this file as a program, holds the nodes: a process whose Ray loses its head is ended by
Ray, which must not be the one that tests. Whatever becomes of the keeper, its nodes end with it.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from tests.processes import descendants, is_running, title

REPOSITORY = Path(__file__).parents[1]

HEAD_LOST_S = 9.0
"""How long the processes of these clusters wait for a head that is gone."""

SETTINGS = {
    "RAY_AUTH_MODE": "disabled",
    "RAY_gcs_rpc_server_reconnect_timeout_s": f"{HEAD_LOST_S:g}",
    "RAY_process_group_cleanup_enabled": "1",
    "RAY_health_check_initial_delay_ms": "1000",
    "RAY_health_check_period_ms": "1000",
    "RAY_health_check_failure_threshold": "3",
}


class RayCluster:
    """A head without CPUs, to which drivers connect, and nodes for engines."""

    def __init__(self, nodes: int = 2, cpus: int = 3) -> None:
        self._folder = tempfile.TemporaryDirectory(
            prefix="ray-", dir="/tmp", ignore_cleanup_errors=True
        )
        self.environment = {**os.environ, **SETTINGS, "RAY_TMPDIR": self._folder.name}
        self._nodes, self._cpus = nodes, cpus
        self._keeper: subprocess.Popen[str] | None = None
        self.address = ""

    def start(self) -> None:
        """A head and its nodes, at a new address."""
        self._end()
        self._keeper = subprocess.Popen(
            [sys.executable, "-m", "tests.ray_cluster"],
            cwd=REPOSITORY,
            env=self.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self.address, self._head = self._ask("head", 0)
        self._raylets = [self._add() for _ in range(self._nodes)]

    def pids(self, actor: str) -> dict[int, str]:
        """The processes of actors of a class, with what they do."""
        assert self._keeper
        titles = {pid: title(pid) for pid in descendants(self._keeper.pid)}
        name = f"ray::{actor}"
        return {pid: said for pid, said in titles.items() if said.split(".")[0] == name}

    def nodes_of(self, actor: str) -> list[int]:
        """The nodes that have an actor of a class, by their number."""
        holders = [index for index, raylet in enumerate(self._raylets)]
        actors = set(self.pids(actor))
        return [index for index in holders if descendants(self._raylets[index]) & actors]

    def kill_node(self, index: int) -> None:
        """All at once, as when a machine is taken away."""
        self._ask("remove", index)

    def replace_node(self, index: int) -> None:
        """Another one for one that was killed."""
        self._raylets[index] = self._add()

    def kill_head(self, what: str) -> None:
        """Its `GCS`, its `raylet`, or the whole `node` with all that runs beside them."""
        names = {"GCS": ["gcs_server"], "raylet": ["raylet"], "node": list(self._head)}[what]
        for name in names:
            os.kill(self._head[name], signal.SIGKILL)

    def close(self) -> None:
        """End all of it."""
        self._end()
        self._folder.cleanup()

    def _add(self) -> int:
        _, pids = self._ask("node", self._cpus)
        return pids["raylet"]

    def _ask(self, order: str, number: int) -> tuple[str, dict[str, int]]:
        assert self._keeper and self._keeper.stdin and self._keeper.stdout
        self._keeper.stdin.write(json.dumps([order, number]) + "\n")
        self._keeper.stdin.flush()
        address, pids = json.loads(self._keeper.stdout.readline())
        return address, pids

    def _end(self) -> None:
        if self._keeper is None:
            return
        below = descendants(self._keeper.pid)
        self._keeper.kill()
        self._keeper.communicate()
        self._keeper = None
        # What helps a node, unlike what works there, looks for its head for a while.
        for pid in filter(is_running, below):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


@contextmanager
def ray_cluster(nodes: int = 2, cpus: int = 3) -> Iterator[RayCluster]:
    """One that is started, and ended."""
    cluster = RayCluster(nodes, cpus)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.close()


def keep() -> None:
    """The life of the keeper: do as its standard input says, and answer with a line each."""
    from ray.cluster_utils import Cluster

    cluster = Cluster()
    nodes: list[Any] = []
    for line in sys.stdin:
        order, number = json.loads(line)
        pids: dict[str, int] = {}
        if order == "remove":
            cluster.remove_node(nodes[number], allow_graceful=False)
            nodes[number] = None
        else:
            node = cluster.add_node(num_cpus=number, include_dashboard=False)
            pids = {name: each[0].process.pid for name, each in node.all_processes.items()}
        if order == "node" and None in nodes:
            nodes[nodes.index(None)] = node
        elif order == "node":
            nodes.append(node)
        sys.stdout.write(json.dumps([cluster.address, pids]) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    keep()
