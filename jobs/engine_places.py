"""Where the engines of a run are to lie, and how much of a cluster they take."""

from collections.abc import Iterable, Mapping

from jobs.launch.nodes import node_groups
from pipeline.pool.ray_places import ACCELERATOR
from schemas.engine_group_spec import EngineGroupSpec
from schemas.errors import SpecError
from schemas.execution_spec import ExecutionSpec


def node_labels(group: EngineGroupSpec) -> dict[str, str]:
    """Of the nodes that engines may lie on, the type of their GPUs among them."""
    kind = {ACCELERATOR: group.accelerator} if group.accelerator else {}
    return kind | group.labels


def require_sense(execution: ExecutionSpec, groups: Mapping[str, EngineGroupSpec]) -> None:
    """Raise where this process is to hold what only a cluster can."""
    if execution.pool != "local":
        return
    loaded = {name: group for name, group in groups.items() if group.backend == "vllm"}
    if sum(group.most for group in loaded.values()) > 1:
        found = ", ".join(f"{name} {group.most}" for name, group in loaded.items())
        raise SpecError(
            f"execution.pool: found local with several vLLM engines ({found}), but a process holds "
            "one. Expected `pool: ray`, which starts a process for each, on this machine or on a "
            "cluster; or one engine."
        )
    for name, group in loaded.items():
        if node_labels(group):
            raise SpecError(
                f"execution.engines.{name}: found accelerator or labels with `pool: local`, which "
                "is this process and has no nodes to choose from; expected none, or `pool: ray`."
            )


def sizing(execution: ExecutionSpec, groups: Mapping[str, EngineGroupSpec]) -> dict[str, object]:
    """GPUs and nodes that the engines take, as figures."""
    return {
        "gpus": {
            "least": sum(one.least * one.gpus for one in groups.values()),
            "most": sum(one.most * one.gpus for one in groups.values()),
        },
        "drivers": execution.drivers,
        "nodes": _nodes(execution, groups),
        "groups": {name: _group_size(group) for name, group in groups.items()},
    }


def _nodes(execution: ExecutionSpec, groups: Mapping[str, EngineGroupSpec]) -> dict[str, int]:
    """How many there are of the size that the launch section has; none where none is so large."""
    per_node = execution.launch.kubernetes.gpus_per_node
    try:
        alike = node_groups(groups, per_node)
    except SpecError:
        alike = []
    least, most = sum(one.least for one in alike), sum(one.most for one in alike)
    return {"gpus_per_node": per_node, "least": least, "most": most}


def _group_size(group: EngineGroupSpec) -> dict[str, object]:
    return {
        "engines": {"least": group.least, "most": group.most},
        "gpus_per_engine": group.gpus,
        "cpus_per_engine": group.booked,
        "tensor_parallel": group.tensor_parallel,
        "pipeline_parallel": group.pipeline_parallel,
        "labels": node_labels(group),
    }


def sizing_text(execution: ExecutionSpec, groups: Mapping[str, EngineGroupSpec]) -> list[str]:
    """The same for a person."""
    gpus = _range([(one.least * one.gpus, one.most * one.gpus) for one in groups.values()])
    cpus = _range([(one.least * one.booked, one.most * one.booked) for one in groups.values()])
    drivers = f" for each of {execution.drivers} drivers" if execution.drivers > 1 else ""
    nodes = _on_nodes(execution, groups)
    lines = [f"engines: {gpus} GPUs and {cpus} CPUs{drivers}{nodes}"]
    for name, group in groups.items():
        engines = _range([(group.least, group.most)])
        lines.append(f"  {name}: {engines} of {_needs(group)}{_labels(group)}")
    return lines


def _on_nodes(execution: ExecutionSpec, groups: Mapping[str, EngineGroupSpec]) -> str:
    if not any(group.gpus for group in groups.values()):
        return ""
    nodes = _nodes(execution, groups)
    size = f"nodes of {nodes['gpus_per_node']} GPUs (launch.kubernetes.gpus_per_node)"
    if not nodes["most"]:
        return f"; {size} cannot hold one"
    return f"; {size}: {_range([(nodes['least'], nodes['most'])])}"


def _needs(group: EngineGroupSpec) -> str:
    said = f"{group.gpus:g} GPUs and {group.booked:g} CPUs"
    if group.pipeline_parallel == 1 or not group.gpus:
        return f"{said} on one node"
    per_stage = group.gpus / group.pipeline_parallel
    return f"{said}, {per_stage:g} GPUs of each stage on one node"


def _labels(group: EngineGroupSpec) -> str:
    labels = ", ".join(f"{name}: {value}" for name, value in node_labels(group).items())
    return f", with the labels {labels}" if labels else ""


def _range(bounds: Iterable[tuple[float, float]]) -> str:
    """From the sum of the least to that of the most."""
    least, most = map(sum, zip(*bounds, strict=True))
    return f"{least:g}" if least == most else f"{least:g} to {most:g}"
