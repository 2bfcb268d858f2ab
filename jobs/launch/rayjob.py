"""A run as RayJobs of KubeRay, one for each driver."""

import math
from collections.abc import Iterator
from importlib.metadata import version
from typing import Any

from jobs.launch.nodes import NodeGroup, node_groups
from jobs.launch.parcel import Parcel
from jobs.launch.pods import Pod, fill, labels_of, name_of, quantity
from jobs.launch.rayjob_rules import LONGEST_NAME, require_valid
from jobs.launch.templates import template
from jobs.wiring import used_groups
from schemas.errors import SpecError
from schemas.launch_spec import LaunchSpec

RUN, DRIVER, ATTEMPT = "arborist-run", "arborist-driver", "arborist-attempt"
"""Labels: whose a RayJob is."""
SPEC = "arborist-spec"
"""The annotation of the head's pod that carries the spec, seen there as a file."""

_LONGEST_SPEC = 200 << 10
"""Kubernetes takes 256 KiB of annotations."""
_IDLE_S = 300
"""How long the autoscaler leaves a node idle: engines take minutes to load."""
_POD_GIB, _GIB_A_CPU = 16.0, 8.0


def rayjobs(parcel: Parcel, attempts: dict[int, int] | None = None) -> list[dict[str, Any]]:
    """The RayJobs of all drivers, or of those given with the number of their attempt."""
    numbered = attempts or dict.fromkeys(range(parcel.spec.execution.drivers), 1)
    return [_rayjob(parcel, driver, attempt) for driver, attempt in numbered.items()]


def notes(parcel: Parcel) -> Iterator[str]:
    """What to see to before it is sent."""
    launch = parcel.spec.execution.launch
    kubernetes = launch.kubernetes
    engines = used_groups(parcel.spec)
    for group in node_groups(engines, kubernetes.gpus_per_node):
        yield _size_text(group, kubernetes.autoscaling)
    if not kubernetes.driver_node_selector:
        yield (
            "launch.kubernetes.driver_node_selector: empty, so the driver may lie on a spot node "
            "and be lost with it"
        )
    if kubernetes.autoscaling and kubernetes.queue:
        yield "Kueue admits RayJobs that scale only where its gate for elastic jobs is open"
    flexible = [name for name, group in engines.items() if group.most > group.least]
    if flexible and not kubernetes.autoscaling:
        yield (
            f"launch.kubernetes.autoscaling: off, so {', '.join(flexible)} get nodes for the least "
            "of their engines"
        )
    yield f"the image is expected to hold Ray {version('ray')}, on all nodes"


def _size_text(group: NodeGroup, scales: bool) -> str:
    nodes = f"{group.least}"
    if scales and group.most > group.least:
        nodes += f" to {group.most}"
    return (
        f"{', '.join(group.engines)}: {nodes} pods, each with {group.gpus} GPUs, {group.cpus:g} "
        f"CPUs and room for {group.seats} engines (or stages of one)"
    )


def _rayjob(parcel: Parcel, driver: int, attempt: int) -> dict[str, Any]:
    launch = parcel.spec.execution.launch
    job = template("rayjob.yaml")
    job["metadata"] |= _identity(parcel, driver, attempt, job["metadata"]["labels"])
    spec = job["spec"]
    spec |= _lifetime(launch)
    spec["metadata"] = {RUN: parcel.key, DRIVER: str(driver), ATTEMPT: str(attempt)}
    cluster = spec["rayClusterSpec"]
    cluster |= _cluster(launch)
    _fill_head(cluster["headGroupSpec"]["template"], parcel)
    groups = node_groups(used_groups(parcel.spec), launch.kubernetes.gpus_per_node)
    cluster["workerGroupSpecs"] = [
        _worker_group(parcel, group, index) for index, group in enumerate(groups)
    ]
    require_valid(job)
    return job


def _identity(parcel: Parcel, driver: int, attempt: int, labels: dict[str, str]) -> dict[str, Any]:
    kubernetes = parcel.spec.execution.launch.kubernetes
    end = f"-{parcel.key}-{driver}-{attempt}"
    queue = {
        "kueue.x-k8s.io/queue-name": kubernetes.queue,
        "kueue.x-k8s.io/priority-class": kubernetes.priority,
    }
    ours = {RUN: parcel.key, DRIVER: str(driver), ATTEMPT: str(attempt)}
    return {
        "name": parcel.name[: LONGEST_NAME - len(end)].strip("-") + end,
        **({"namespace": kubernetes.namespace} if kubernetes.namespace else {}),
        "labels": {**labels, **ours, **{key: value for key, value in queue.items() if value}},
    }


def _lifetime(launch: LaunchSpec) -> dict[str, Any]:
    limits = {
        "activeDeadlineSeconds": launch.time_limit_s,
        "preRunningDeadlineSeconds": launch.kubernetes.pending_s,
    }
    return {
        "backoffLimit": launch.retries,
        "ttlSecondsAfterFinished": launch.kubernetes.keep_s,
        **{key: math.ceil(value) for key, value in limits.items() if value is not None},
    }


def _cluster(launch: LaunchSpec) -> dict[str, Any]:
    scales = {
        "enableInTreeAutoscaling": True,
        "autoscalerOptions": {"version": "v2", "idleTimeoutSeconds": _IDLE_S},
    }
    return {
        "rayVersion": version("ray"),
        "authOptions": {"mode": launch.kubernetes.auth},
        **(scales if launch.kubernetes.autoscaling else {}),
    }


def _fill_head(pod: dict[str, Any], parcel: Parcel) -> None:
    kubernetes = parcel.spec.execution.launch.kubernetes
    size = len(parcel.text.encode())
    if size > _LONGEST_SPEC:
        raise SpecError(
            f"{parcel.name}: the spec has {size:,} bytes; Kubernetes carries at most "
            f"{_LONGEST_SPEC:,}. Many topics are better read from a file of their own "
            "(generation.roots.data)."
        )
    pod["metadata"]["annotations"] = {SPEC: parcel.text}
    memory = kubernetes.driver_memory_gib
    limits = {"cpu": quantity(kubernetes.driver_cpus), "memory": f"{quantity(memory)}Gi"}
    shared = min(kubernetes.shared_memory_gib, memory / 2)
    head = Pod(limits, shared, kubernetes.driver_node_selector, ())
    fill(pod, _launch(parcel), head, parcel.leave_s)


def _worker_group(parcel: Parcel, group: NodeGroup, index: int) -> dict[str, Any]:
    kubernetes = parcel.spec.execution.launch.kubernetes
    made = template("worker_group.yaml")
    most = group.most if kubernetes.autoscaling else group.least
    counts = {"replicas": group.least, "minReplicas": group.least, "maxReplicas": most}
    labels = labels_of(group)
    limits = {
        "cpu": quantity(group.cpus),
        "memory": f"{quantity(kubernetes.memory_gib or _POD_GIB + _GIB_A_CPU * group.cpus)}Gi",
        **({kubernetes.gpu_resource: str(group.gpus)} if group.gpus else {}),
    }
    shared = kubernetes.shared_memory_gib
    pod = Pod(limits, shared, _selector(parcel, group), kubernetes.tolerations)
    fill(made["template"], _launch(parcel), pod, parcel.leave_s)
    named = {"groupName": f"{name_of(group.engines[0])}-{index}"}
    return {**named, **counts, **({"labels": labels} if labels else {}), **made}


def _selector(parcel: Parcel, group: NodeGroup) -> dict[str, str]:
    kubernetes = parcel.spec.execution.launch.kubernetes
    known = kubernetes.accelerator_selectors
    kinds = {engines.accelerator for engines in used_groups(parcel.spec).values()}
    if group.accelerator and len(kinds) > 1 and group.accelerator not in known:
        raise SpecError(
            f"launch.kubernetes.accelerator_selectors: found none for {group.accelerator}, which "
            f"{', '.join(group.engines)} need beside engines on others; expected the labels of its "
            "nodes, such as {nvidia.com/gpu.product: NVIDIA-H100-80GB-HBM3}."
        )
    return {**kubernetes.node_selector, **known.get(group.accelerator or "", {})}


def _launch(parcel: Parcel) -> LaunchSpec:
    return parcel.spec.execution.launch
