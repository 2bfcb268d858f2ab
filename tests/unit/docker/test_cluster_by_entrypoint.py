"""The cluster of docker/compose.yaml without Docker, as processes of this machine.

Head, worker, store and submission say to each other what they say there; only walls are missing.
"""

import os
import secrets
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml

from pipeline.storage.open import find_run
from pipeline.storage.snapshots import latest
from tests.builders import make_spec
from tests.ports import free_port
from tests.processes import descendants, is_running, survivors, until
from tests.s3_server import new_location, s3_server
from tests.unit.docker.dockerfile import FOLDER, environment, read

PATIENCE_S = 200


class Host:
    """What containers share."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port, self.dashboard = free_port(), free_port()
        image = read("generate.Dockerfile", {"DEVICE": "cpu"})
        settings = environment(image.lineage(image.last.name))
        outside = {name: value for name, value in os.environ.items() if "RAY" not in name}
        self.environment = {
            **outside,
            **{name: value for name, value in settings.items() if name.startswith(("RAY", "PY"))},
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "RAY_TMPDIR": str(folder),
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": secrets.token_hex(32),
            "RAY_PORT": str(self.port),
            "RAY_HEAD": f"127.0.0.1:{self.port}",
            "RAY_API_SERVER_ADDRESS": f"http://127.0.0.1:{self.dashboard}",
        }

    def of(self, container: str) -> dict[str, str]:
        """The environment of one, with a place of its own for its health."""
        return {**self.environment, "ARBORIST_HEALTH": str(self.folder / f"{container}.health")}

    @contextmanager
    def container(self, name: str, *words: str) -> Iterator["Container"]:
        """A service as long as it is needed; stopped as Docker stops it."""
        container = Container(self.of(name), self.folder / f"{name}.log", words)
        try:
            yield container
        finally:
            family = {container.process.pid, *descendants(container.process.pid)}
            container.process.send_signal(signal.SIGTERM)
            try:
                container.process.wait(60)
            finally:
                for pid in filter(is_running, family):
                    os.kill(pid, signal.SIGKILL)


class Container:
    """A process of the entrypoint."""

    def __init__(self, environment: dict[str, str], log: Path, words: tuple[str, ...]) -> None:
        self._environment, self._log, self._words = environment, log, words
        self._again = False
        self.process = self._started()

    def _started(self) -> "subprocess.Popen[bytes]":
        with self._log.open("wb") as log:
            return subprocess.Popen(
                [FOLDER / "entrypoint.sh", *self._words],
                env=self._environment,
                cwd=self._log.parent,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def await_health(self) -> None:
        """Until it says that it is a node, and is well; started again once where it ends before,
        as Docker does: on a busy machine Ray itself has too little patience."""
        until(self._is_up, PATIENCE_S)

    def _is_up(self) -> bool:
        if self.process.poll() is not None:
            assert not self._again, self.said()
            self._again, self.process = True, self._started()
        named = Path(self._environment["ARBORIST_HEALTH"]).exists()
        return named and b"Ray runtime started" in self._log.read_bytes() and self.is_well()

    def is_well(self) -> bool:
        """What the image's health check says."""
        checked = subprocess.run(
            [FOLDER / "health.sh"], env=self._environment, capture_output=True, check=False
        )
        return checked.returncode == 0

    def said(self) -> str:
        """So far."""
        return self._log.read_text()[-3000:]


@pytest.fixture
def host() -> Iterator[Host]:
    folder = tempfile.TemporaryDirectory(prefix="ray-", dir="/tmp", ignore_cleanup_errors=True)
    with folder, s3_server():
        yield Host(Path(folder.name))


@pytest.mark.ray
@pytest.mark.long
@pytest.mark.timeout(1800)
def test_cluster_runs_what_is_submitted_to_it_and_ends_when_stopped(host: Host) -> None:
    location = new_location()
    group = {"replicas": 2, "cpus": 1}
    spec = make_spec(
        scripted={"mean_tokens": 10},
        group=group,
        location=location,
        pool="ray",
        ray_address="auto",
        workers=None,
    )
    file = host.folder / "cluster.yaml"
    file.write_text(yaml.safe_dump(spec.model_dump(mode="json")))
    small = "--object-store-memory=100000000"
    ports = (f"--dashboard-port={host.dashboard}", f"--ray-client-server-port={free_port()}")
    inside = ("--dashboard-host=127.0.0.1", *ports, small)
    with host.container("head", "head", *inside) as head:
        head.await_health()
        with host.container("worker", "worker", "--num-cpus=4", small) as worker:
            worker.await_health()
            with host.container("generate", "submit", str(file), "--to", "ray") as submission:
                code = submission.process.wait(PATIENCE_S)
            assert code == 0 and "is sealed" in submission.said(), submission.said()
            families = [pid for node in (head, worker) for pid in descendants(node.process.pid)]
            assert len(families) > 4
    snapshot = latest(find_run(location, {}))
    assert snapshot is not None and snapshot.complete
    assert survivors(families, PATIENCE_S) == []
    assert not head.is_well() and not worker.is_well()


def test_container_that_is_no_node_is_well(tmp_path: Path) -> None:
    settings = {**os.environ, "ARBORIST_HEALTH": str(tmp_path / "none")}
    assert subprocess.run([FOLDER / "health.sh"], env=settings, check=False).returncode == 0
