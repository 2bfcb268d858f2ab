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
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from inspect import signature
from pathlib import Path
from typing import Any

from tests.ports import free_ports
from tests.processes import descendants, is_running, title

REPOSITORY = Path(__file__).parents[1]

HEAD_LOST_S = 9.0
"""How long the processes of these clusters wait for a head that is gone."""

PATIENCE_S = 120.0
"""For a node to come, on a machine that is busy."""

AGENT_PORTS = (
    "dashboard_agent_listen_port",
    "metrics_agent_port",
    "metrics_export_port",
    "runtime_env_agent_port",
)
"""Where they are known beforehand, a node waits for none of its agents."""

SETTINGS = {
    "RAY_AUTH_MODE": "disabled",
    "RAY_gcs_rpc_server_reconnect_timeout_s": f"{HEAD_LOST_S:g}",
    "RAY_process_group_cleanup_enabled": "1",
    "RAY_agent_register_timeout_ms": f"{2000 * PATIENCE_S:g}",
    "RAY_worker_register_timeout_seconds": f"{2 * PATIENCE_S:g}",
    "RAY_health_check_initial_delay_ms": "1000",
    "RAY_health_check_period_ms": "1000",
}


class RayCluster:
    """A head without CPUs, to which drivers connect, and nodes for engines. A node is lost that
    has been silent for so long."""

    def __init__(self, nodes: int = 2, cpus: int = 3, silent_s: int = 3) -> None:
        self._folder = tempfile.TemporaryDirectory(
            prefix="ray-", dir="/tmp", ignore_cleanup_errors=True
        )
        self.environment = {
            **os.environ,
            **SETTINGS,
            "RAY_health_check_failure_threshold": f"{silent_s}",
            "RAY_TMPDIR": self._folder.name,
        }
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

    def add_node(self, cpus: int, gpus: int = 0, labels: Mapping[str, str] | None = None) -> int:
        """One more, of any kind; its GPUs are words. Its number."""
        _, pids = self._ask("node", cpus, num_gpus=gpus, labels=dict(labels or {}))
        self._raylets.append(pids["raylet"])
        return len(self._raylets) - 1

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

    def _ask(self, order: str, number: int, **more: Any) -> tuple[str, dict[str, int]]:
        assert self._keeper and self._keeper.stdin and self._keeper.stdout
        self._keeper.stdin.write(json.dumps([order, number, more]) + "\n")
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
def ray_cluster(nodes: int = 2, cpus: int = 3, silent_s: int = 3) -> Iterator[RayCluster]:
    """One that is started, and ended."""
    cluster = RayCluster(nodes, cpus, silent_s)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.close()


def keep() -> None:
    """The life of the keeper: do as its standard input says, and answer with a line each."""
    from ray.cluster_utils import Cluster

    _be_patient()
    cluster = Cluster()
    nodes: list[Any] = []
    for line in sys.stdin:
        order, number, more = json.loads(line)
        pids: dict[str, int] = {}
        if order == "remove":
            cluster.remove_node(nodes[number], allow_graceful=False)
            nodes[number] = None
        else:
            more |= dict(zip(AGENT_PORTS, free_ports(len(AGENT_PORTS)), strict=True))
            node = cluster.add_node(wait=False, num_cpus=number, include_dashboard=False, **more)
            cluster.wait_for_nodes(timeout=PATIENCE_S)
            pids = {name: each[0].process.pid for name, each in node.all_processes.items()}
        if order == "node" and None in nodes:
            nodes[nodes.index(None)] = node
        elif order == "node":
            nodes.append(node)
        sys.stdout.write(json.dumps([cluster.address, pids]) + "\n")
        sys.stdout.flush()


def _be_patient() -> None:
    """Ray gives a node 30 s to be known to its head, and 15 s to its agent to tell it a port; it
    has no settings for that, and both are short on a busy machine."""
    from ray._private import services
    from ray._raylet import DASHBOARD_AGENT_LISTEN_PORT_NAME, persist_port

    get_node, start_raylet = services.get_node, services.start_raylet

    def get_node_at_last(*where: Any) -> Any:
        deadline = time.monotonic() + PATIENCE_S
        while True:
            try:
                return get_node(*where)
            except RuntimeError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)

    def start_raylet_that_is_told(*given: Any, **named: Any) -> Any:
        said = signature(start_raylet).bind(*given, **named).arguments
        port = said["dashboard_agent_listen_port"]
        persist_port(said["session_dir"], said["node_id"], DASHBOARD_AGENT_LISTEN_PORT_NAME, port)
        return start_raylet(*given, **named)

    services.get_node, services.start_raylet = get_node_at_last, start_raylet_that_is_told


if __name__ == "__main__":
    keep()
