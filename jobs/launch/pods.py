"""What the pods of head and engines are made of."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from jobs.launch.nodes import NodeGroup
from pipeline.pool.ray_places import ACCELERATOR
from schemas.errors import SpecError
from schemas.launch_spec import LaunchSpec, VolumeSpec

_SHARED = "shared-memory"
_OWN = {"RAY_process_group_cleanup_enabled": "1"}
"""Else the processes that a killed engine started would live on and hold its device."""


class Pod(NamedTuple):
    """What differs between head and engines."""

    limits: Mapping[str, str]
    shared_gib: float
    selector: Mapping[str, str]
    tolerations: Sequence[Mapping[str, Any]]


def fill(template: dict[str, Any], launch: LaunchSpec, pod: Pod, grace_s: int) -> None:
    """Complete the template of a pod."""
    kubernetes, spec = launch.kubernetes, template["spec"]
    container = spec["containers"][0]
    container["image"] = _image(launch)
    container["resources"] = {"limits": dict(pod.limits), "requests": dict(pod.limits)}
    container["env"] = _environment(launch)
    mounts = [_mount(name, volume) for name, volume in kubernetes.volumes.items()]
    shared = {"name": _SHARED, "mountPath": "/dev/shm"}
    container["volumeMounts"] = [*container.get("volumeMounts", []), shared, *mounts]
    size = f"{quantity(pod.shared_gib)}Gi"
    spec["volumes"] += [
        {"name": _SHARED, "emptyDir": {"medium": "Memory", "sizeLimit": size}},
        *(_volume(name, volume) for name, volume in kubernetes.volumes.items()),
    ]
    spec["terminationGracePeriodSeconds"] = grace_s
    optional = {
        "serviceAccountName": kubernetes.service_account,
        "nodeSelector": dict(pod.selector),
        "tolerations": [dict(each) for each in pod.tolerations],
    }
    spec |= {key: value for key, value in optional.items() if value}


def labels_of(group: NodeGroup) -> dict[str, str]:
    """Of Ray's, so that engines find their nodes, and the autoscaler knows what it would get."""
    wanted = {key: value for key, value in group.labels if not value.startswith("!")}
    plain = {key: re.sub(r"^in\(\s*([^,)\s]+).*$", r"\1", value) for key, value in wanted.items()}
    return {**plain, **({ACCELERATOR: group.accelerator} if group.accelerator else {})}


def name_of(engines: str) -> str:
    """As Kubernetes takes names."""
    plain = re.sub(r"[^a-z0-9]+", "-", engines.lower()).strip("-")[:20].strip("-")
    return plain if plain[:1].isalpha() else f"engines{plain}"


def quantity(value: float) -> str:
    """As Kubernetes takes numbers, without an exponent."""
    return f"{value:.3f}".rstrip("0").rstrip(".")


def _image(launch: LaunchSpec) -> str:
    if launch.image is None:
        raise SpecError(
            "execution.launch.image: missing; expected the image that all pods run, with Arborist, "
            "vLLM and Ray."
        )
    return launch.image


def _environment(launch: LaunchSpec) -> list[dict[str, Any]]:
    secrets = launch.kubernetes.secrets
    if twice := sorted(secrets.keys() & (launch.environment.keys() | _OWN.keys())):
        raise SpecError(
            f"execution.launch: {', '.join(twice)}: found in environment and in "
            "kubernetes.secrets, expected in one of the two."
        )
    plain = [{"name": name, "value": value} for name, value in (_OWN | launch.environment).items()]
    kept = [
        {"name": name, "valueFrom": {"secretKeyRef": {"name": secret.name, "key": secret.key}}}
        for name, secret in secrets.items()
    ]
    return plain + kept


def _mount(name: str, volume: VolumeSpec) -> dict[str, Any]:
    return {
        "name": name,
        "mountPath": volume.path,
        **({"readOnly": True} if volume.read_only else {}),
    }


def _volume(name: str, volume: VolumeSpec) -> dict[str, Any]:
    if volume.claim is None:
        return {"name": name, "hostPath": {"path": volume.host, "type": "DirectoryOrCreate"}}
    return {
        "name": name,
        "persistentVolumeClaim": {
            "claimName": volume.claim,
            **({"readOnly": True} if volume.read_only else {}),
        },
    }
