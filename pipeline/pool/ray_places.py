"""Where in a Ray cluster an engine can lie, and what the cluster can never give."""

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from pipeline.pool.pool import GroupPlan
from schemas.errors import EngineError, SpecError

ACCELERATOR = "ray.io/accelerator-type"
"""The label by which Ray names a node's type of GPU."""

_AUTOSCALER = "__autoscaler"
_READ_ONLY_TYPE = "node_"
"""How Ray's monitor names the nodes of a cluster that it cannot change."""


class Node(NamedTuple):
    """A node that is there, or one that an autoscaler may start."""

    resources: Mapping[str, float]
    labels: Mapping[str, str] | None = {}
    """None: not known."""


class Cluster(NamedTuple):
    """What may become a place."""

    nodes: Sequence[Node]
    declared: bool = False
    """Whether all that an autoscaler may start is among the nodes."""
    may_grow: bool = False
    """Whether nodes may come of which nothing is known: by an autoscaler, or for lost ones."""


def found_cluster() -> Cluster:
    """The cluster that this process is connected to."""
    import ray

    here = ray.nodes()
    nodes = [Node(one["Resources"], one["Labels"]) for one in here if one["Alive"]]
    declared = _declared_types()
    grows = _is_autoscaled() or not all(one["Alive"] for one in here)
    return Cluster([*nodes, *declared], bool(declared), grows and not declared)


def require_places(groups: Iterable[GroupPlan], cluster: Cluster) -> None:
    """Raise where the cluster can never hold an engine of a group."""
    for group in groups:
        if not cluster.may_grow and not any(holds(group, node) for node in cluster.nodes):
            raise SpecError(
                f"execution.engines.{group.name}: {asks(group)}, and no node can ever hold one: "
                f"{offers(group, cluster)}. Ask for what there is, or name another cluster "
                "(`execution.ray_address`)."
            )


def holds(group: GroupPlan, node: Node) -> bool:
    """Whether the node, with nobody else on it, holds an engine, or one stage of it."""
    cpus, gpus = node.resources.get("CPU", 0), node.resources.get("GPU", 0)
    parts = _spread(group)
    fits = cpus >= group.cpus / parts and gpus >= group.gpus / parts
    return fits and _selects(group.labels, node)


def _spread(group: GroupPlan) -> int:
    """Parts of an engine that may each lie on another node."""
    return group.stages if group.gpus else 1


def asks(group: GroupPlan) -> str:
    """What an engine needs, in words."""
    parts = _spread(group)
    node = "one node" if parts == 1 else f"each of up to {parts} nodes"
    labels = ", ".join(f"{name}: {value}" for name, value in group.labels.items())
    return (
        f"each engine of group {group.name!r} asks for {group.cpus / parts:g} CPUs and "
        f"{group.gpus / parts:g} GPUs on {node}" + f" with the labels {labels}" * bool(labels)
    )


def offers(group: GroupPlan, cluster: Cluster) -> str:
    """What there is of it, in words."""
    fitting = [node for node in cluster.nodes if _selects(group.labels, node)]
    there = f"of {len(cluster.nodes)} nodes {len(fitting)} have these labels" * bool(group.labels)
    nodes = fitting or cluster.nodes
    kind = "GPU" if group.gpus else "CPU"
    largest = max(nodes, key=lambda node: node.resources.get(kind, 0), default=Node({}))
    size = f"{largest.resources.get('CPU', 0):g} CPUs and {largest.resources.get('GPU', 0):g} GPUs"
    said = f"the largest of {'them' if fitting and there else 'all nodes'} has {size}"
    return "; ".join(filter(None, (there, said, _types(cluster) if group.labels else "")))


def _types(cluster: Cluster) -> str:
    types = Counter((node.labels or {}).get(ACCELERATOR, "") for node in cluster.nodes)
    named = ", ".join(f"{name} ({num} nodes)" for name, num in sorted(types.items()) if name)
    return f"types of GPU there: {named or 'none is named'}"


def _selects(labels: Mapping[str, str], node: Node) -> bool:
    if node.labels is None:
        return True
    return all(_allows(wanted, node.labels.get(name)) for name, wanted in labels.items())


def _allows(wanted: str, found: str | None) -> bool:
    """One condition in Ray's words: `a`, `!a`, `in(a,b)`, `!in(a,b)`."""
    negated, listed = wanted.startswith("!"), re.fullmatch(r"!?in\((.*)\)", wanted)
    values = listed[1].split(",") if listed else [wanted.removeprefix("!")]
    return (found in {value.strip() for value in values}) != negated


def _declared_types() -> list[Node]:
    """What an autoscaler may start, where it has told Ray."""
    from ray._private.state import state

    config = state.get_cluster_config()
    types = config.node_group_configs if config else []
    return [Node(dict(one.resources), None) for one in types if one.max_count]


def _is_autoscaled() -> bool:
    """Whether somebody starts nodes for what waits."""
    from ray.experimental.internal_kv import _internal_kv_get

    if _internal_kv_get(b"__autoscaler_v2_enabled", namespace=_AUTOSCALER.encode()) == b"1":
        return True
    status = json.loads(_internal_kv_get(b"__autoscaling_status") or "{}")
    active = status.get("autoscaler_report", {}).get("active_nodes", {})
    return any(not name.startswith(_READ_ONLY_TYPE) for name in active)


class Place:
    """What one engine's actor is told of where to lie; a group of bundles where it spreads."""

    def __init__(self, group: GroupPlan) -> None:
        self._group = group
        self._bundles: Any = None

    def options(self) -> dict[str, Any]:
        """Of the actor."""
        group = self._group
        chosen = {"num_cpus": group.cpus, "num_gpus": group.gpus}
        if _spread(group) == 1:
            return chosen | {"label_selector": dict(group.labels) or None}
        from ray.util.placement_group import placement_group
        from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

        cpus, per_stage = group.cpus / group.stages, int(group.gpus) // group.stages
        bundles = [
            {"GPU": 1.0} | ({"CPU": cpus} if cpus and not index % per_stage else {})
            for index in range(int(group.gpus))
        ]
        self._bundles = placement_group(
            bundles,
            strategy="PACK",
            bundle_label_selector=[dict(group.labels)] * len(bundles) if group.labels else None,
        )
        # Its GPUs are for the engine's parts, which are actors of their own in the same group.
        strategy = PlacementGroupSchedulingStrategy(
            self._bundles,
            placement_group_bundle_index=0,
            placement_group_capture_child_tasks=True,
        )
        return {"num_cpus": cpus, "num_gpus": 0, "scheduling_strategy": strategy}

    def require_whole_stages(self) -> None:
        """Raise where a stage was torn apart."""
        if self._bundles is None:
            return
        from ray.util.placement_group import placement_group_table

        nodes = placement_group_table(self._bundles)["bundles_to_node_id"].values()
        per_stage = int(self._group.gpus) // self._group.stages
        if torn := torn_stages(nodes, per_stage):
            raise EngineError(
                f"its {self._group.stages} stages of {per_stage} GPUs were torn apart: Ray placed "
                f"its GPUs as {torn} on {len(torn)} nodes, and each stage must lie on one. Keep "
                "nodes with engines of several stages free of others, by `labels`"
            )

    def free(self) -> None:
        """Give back what it holds beside the actor."""
        if self._bundles is not None:
            from ray.util.placement_group import remove_placement_group

            remove_placement_group(self._bundles)


def torn_stages(nodes: Iterable[str], per_stage: int) -> list[int]:
    """GPUs by node, where these are not whole stages; vLLM fills them node by node."""
    held = sorted(Counter(nodes).values(), reverse=True)
    return held if any(num % per_stage for num in held) else []
