"""What KubeRay and Kubernetes refuse in a RayJob, found before it is sent.

The schema knows the fields that are rendered and no others; the rules are those of the operator
that no schema can say.
"""

import re
from collections.abc import Iterator
from functools import cache
from typing import Any

from jobs.launch.templates import schema
from schemas.errors import SpecError

LONGEST_NAME = 47
"""Of a RayJob, whose pods have names made of it."""
_LONGEST_LABEL = 63
_DNS_LABEL = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")
_LABEL_VALUE = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?")
_VARIABLE = re.compile(r"[-._a-zA-Z][-._a-zA-Z0-9]*")
_FIRST_WITH_AUTH = (2, 52)


def require_valid(job: dict[str, Any]) -> None:
    """Raise if a RayJob would be refused, with all reasons."""
    broken = list(_broken_fields(job)) or list(_broken_rules(job))
    if broken:
        raise SpecError(
            "execution.launch: the RayJob made of it would be refused: " + "; ".join(broken) + "."
        )


def _broken_fields(job: dict[str, Any]) -> Iterator[str]:
    for error in sorted(_validator().iter_errors(job), key=lambda error: list(error.path)):
        yield f"{'.'.join(map(str, error.path)) or 'it'}: {error.message}"


@cache
def _validator() -> Any:
    from jsonschema import Draft202012Validator

    return Draft202012Validator(schema("rayjob.schema.json"))


def _broken_rules(job: dict[str, Any]) -> Iterator[str]:
    spec = job["spec"]
    cluster = spec["rayClusterSpec"]
    yield from _of_names(job["metadata"])
    if spec.get("ttlSecondsAfterFinished", 0) > 0 and not spec.get("shutdownAfterJobFinishes"):
        yield "ttlSecondsAfterFinished: expected with shutdownAfterJobFinishes"
    if "kueue.x-k8s.io/queue-name" in job["metadata"]["labels"] and not spec.get(
        "shutdownAfterJobFinishes"
    ):
        yield "a queue of Kueue: expected with shutdownAfterJobFinishes"
    if cluster["authOptions"]["mode"] == "token" and _release(cluster) < _FIRST_WITH_AUTH:
        yield f"authOptions: rayVersion {cluster['rayVersion']} knows none, expected 2.52 or later"
    groups = [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]
    names = [group["groupName"] for group in cluster["workerGroupSpecs"]]
    if len(set(names)) < len(names):
        yield f"groupName: found one twice among {', '.join(names)}"
    for group in groups:
        yield from _of_group(group, scales=bool(cluster.get("enableInTreeAutoscaling")))
        yield from _of_pod(group["template"]["spec"])


def _release(cluster: dict[str, Any]) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", cluster["rayVersion"])[:2])


def _of_names(metadata: dict[str, Any]) -> Iterator[str]:
    name = metadata["name"]
    if len(name) > LONGEST_NAME or not _DNS_LABEL.fullmatch(name):
        yield f"name: found {name}, expected a DNS label of at most {LONGEST_NAME} characters"
    for key, value in metadata["labels"].items():
        if len(value) > _LONGEST_LABEL or not _LABEL_VALUE.fullmatch(value):
            yield f"label {key}: found {value}, expected at most 63 letters, digits and -_. between"


def _of_group(group: dict[str, Any], *, scales: bool) -> Iterator[str]:
    name = group.get("groupName", "the head")
    restart = group["template"]["spec"].get("restartPolicy", "Never")
    if scales and restart != "Never":
        yield f"{name}: restartPolicy {restart}, expected Never with the autoscaler"
    if "labels" in group.get("rayStartParams", {}):
        yield f"{name}: labels among rayStartParams, expected as `labels`"
    if "groupName" in group and not _DNS_LABEL.fullmatch(name):
        yield f"groupName: found {name}, expected a DNS label"
    low, now, high = (group.get(key, 0) for key in ("minReplicas", "replicas", "maxReplicas"))
    if not low <= now <= high:
        yield f"{name}: found {now} replicas, expected between {low} and {high}"
    for key, value in group.get("labels", {}).items():
        if len(value) > _LONGEST_LABEL or not _LABEL_VALUE.fullmatch(value):
            yield f"{name}: label {key}: found {value}, expected a plain value"


def _of_pod(spec: dict[str, Any]) -> Iterator[str]:
    container = spec["containers"][0]
    volumes = [volume["name"] for volume in spec["volumes"]]
    places = [mount["mountPath"] for mount in container["volumeMounts"]]
    for what, found in {"volumes": volumes, "mountPath": places}.items():
        if twice := sorted({one for one in found if found.count(one) > 1}):
            yield f"{container['name']}: {what}: found {', '.join(twice)} twice"
    for name in (name for name in volumes if not _DNS_LABEL.fullmatch(name)):
        yield f"volumes: found the name {name}, expected a DNS label"
    for variable in (one["name"] for one in container["env"]):
        if not _VARIABLE.fullmatch(variable):
            yield f"env: found {variable}, expected the name of a variable"
        if variable == "RAY_enable_autoscaler_v2":
            yield f"env: {variable} is the operator's to set"
    yield from _of_memory(container, spec["volumes"])


def _of_memory(container: dict[str, Any], volumes: list[dict[str, Any]]) -> Iterator[str]:
    memory = _gib(container["resources"]["limits"]["memory"])
    shared = next(v["emptyDir"]["sizeLimit"] for v in volumes if "emptyDir" in v)
    if _gib(shared) > memory:
        yield (
            f"{container['name']}: {shared} of shared memory, which counts as memory, of which "
            f"there are {memory:g} GiB"
        )


def _gib(quantity: str) -> float:
    return float(quantity.removesuffix("Gi"))
