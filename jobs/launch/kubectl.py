"""Sends RayJobs to Kubernetes by `kubectl`."""

import json
from collections.abc import Callable
from typing import Any

from jobs.launch.parcel import Parcel
from jobs.launch.rayjob import ATTEMPT, DRIVER, RUN, rayjobs
from jobs.launch.tools import call
from jobs.launch.yaml_text import document

_ENDED = ("Complete", "Failed")
"""A RayJob that KubeRay does nothing about any more."""


def send(parcel: Parcel, say: Callable[[str], None]) -> None:
    """Create the RayJob of each driver that has none which is going on."""
    space = _namespace(parcel)
    query = ["get", "rayjobs", *space, "-l", f"{RUN}={parcel.key}", "-o", "json"]
    found = json.loads(call(["kubectl", *query]))["items"]
    for driver in range(parcel.spec.execution.drivers):
        before = [job for job in found if _label(job, DRIVER) == driver]
        running = next((job for job in before if not _has_ended(job)), None)
        if running is not None:
            say(f"RayJob {running['metadata']['name']} is there already, and is left alone")
            continue
        attempt = 1 + max((_label(job, ATTEMPT) for job in before), default=0)
        [job] = rayjobs(parcel, {driver: attempt})
        call(["kubectl", "create", *space, "-f", "-"], document(job))
        say(f"created RayJob {job['metadata']['name']}")
    say(_how_to_go_on(parcel, space))


def _label(job: dict[str, Any], name: str) -> int:
    return int(job["metadata"]["labels"].get(name, 0))


def _has_ended(job: dict[str, Any]) -> bool:
    return job.get("status", {}).get("jobDeploymentStatus") in _ENDED


def _namespace(parcel: Parcel) -> list[str]:
    namespace = parcel.spec.execution.launch.kubernetes.namespace
    return ["-n", namespace] if namespace else []


def _how_to_go_on(parcel: Parcel, space: list[str]) -> str:
    """For the person who sent them."""
    kubectl, ours = " ".join(["kubectl", *space]), f"-l {RUN}={parcel.key}"
    return (
        f"to see how they are: `{kubectl} get rayjobs {ours}`; to follow one: `{kubectl} logs -f "
        f"job/NAME`; to stop them, resumable: `{kubectl} delete rayjobs {ours}`"
    )
