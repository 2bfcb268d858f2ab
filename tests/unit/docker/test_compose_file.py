"""The small cluster of docker/compose.yaml, as `docker compose` itself reads it."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from jobs.cli import VERBS
from jobs.spec_file import load_spec
from tests.s3_server import s3_server
from tests.unit.docker.dockerfile import FOLDER

SECRETS = {"STORE_USER": "someone", "STORE_PASSWORD": "pass-word", "RAY_AUTH_TOKEN": "to-ken" * 8}


def compose(settings: dict[str, str], *words: str) -> "subprocess.CompletedProcess[str]":
    """What `docker compose` says about the file with these settings in its environment."""
    return subprocess.run(
        [
            *(Path(sys.executable).parent / "docker-compose", "--file", FOLDER / "compose.yaml"),
            *("--env-file", "/dev/null", "--profile", "run", "config", *words),
        ],
        env=settings,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def cluster() -> dict[str, Any]:
    done = compose(SECRETS, "--format", "json")
    assert (done.returncode, done.stderr) == (0, "")
    return json.loads(done.stdout)


@pytest.mark.parametrize("name", SECRETS)
def test_compose_asks_for_secrets_and_has_none_of_its_own(name: str) -> None:
    done = compose({key: value for key, value in SECRETS.items() if key != name}, "--quiet")
    assert (
        done.returncode != 0 and f"{name} is missing a value: set it in docker/.env" in done.stderr
    )
    example = (FOLDER / "env.example").read_text().splitlines()
    assert f"{name}=" in example


def test_cluster_is_a_head_two_workers_a_store_and_a_run(cluster: dict[str, Any]) -> None:
    services = cluster["services"]
    assert services["worker"]["deploy"]["replicas"] == 2
    assert services["generate"]["profiles"] == ["run"]
    images = {name: service["image"] for name, service in services.items()}
    assert images["store"].partition(":")[2] not in ("", "latest")
    assert {image for name, image in images.items() if name != "store"} == {"arborist:cpu"}
    waits = {
        name: {other: how["condition"] for other, how in service.get("depends_on", {}).items()}
        for name, service in services.items()
    }
    ended, well = "service_completed_successfully", "service_healthy"
    assert waits["head"] == {"bucket": ended, "model": ended}
    assert waits["worker"] == {"head": well} and waits["bucket"] == {"store": well}
    assert waits["generate"] == {"head": well, "worker": well}


def test_nothing_is_open_to_other_hosts_and_nothing_gains_rights(cluster: dict[str, Any]) -> None:
    for name, service in cluster["services"].items():
        assert all(port["host_ip"] == "127.0.0.1" for port in service.get("ports", ())), name
        assert service["security_opt"] == ["no-new-privileges:true"]
        if name != "store":
            assert service["cap_drop"] == ["ALL"]
            assert service["environment"]["RAY_AUTH_MODE"] == "token"


def test_services_say_words_that_the_entrypoint_knows(cluster: dict[str, Any]) -> None:
    own = {n: s for n, s in cluster["services"].items() if n not in ("store", "bucket")}
    for name, service in own.items():
        assert service["command"][0] in {*VERBS, "head", "worker"}, name


def test_run_has_room_on_the_workers(cluster: dict[str, Any]) -> None:
    services = cluster["services"]
    (mounted,) = [v for v in services["generate"]["volumes"] if v["type"] == "bind"]
    asked = services["generate"]["command"][1]
    spec = load_spec(asked.replace(mounted["target"], mounted["source"]))
    group = spec.execution.engines["main"]
    (cpus,) = [w for w in services["worker"]["command"] if w.startswith("--num-cpus=")]
    assert group.least <= services["worker"]["deploy"]["replicas"]
    assert group.cpus + 1 <= int(cpus.partition("=")[2]), "an engine, and who measures"
    assert spec.execution.pool == "ray" and spec.execution.ray_address == "auto"


def test_bucket_of_the_run_is_made_and_may_be_there(cluster: dict[str, Any]) -> None:
    import fsspec

    service = cluster["services"]["bucket"]
    command = [sys.executable, *service["entrypoint"][1:], *service["command"]]
    with s3_server():
        for _ in range(2):
            subprocess.run(command, check=True)
        location = load_spec(str(FOLDER / "specs" / "cluster.yaml")).execution.location
        fs, _ = fsspec.core.url_to_fs(location, skip_instance_cache=True)
        bucket = location.removeprefix("s3://").partition("/")[0]
        fs.pipe_file(f"{bucket}/there", b"yes")
        assert fs.cat_file(f"{bucket}/there") == b"yes"
