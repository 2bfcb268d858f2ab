"""What a cluster can never give, by what is known of its nodes."""

import pytest

from pipeline.pool.pool import GroupPlan
from pipeline.pool.ray_places import ACCELERATOR, Cluster, Node, require_places, torn_stages
from schemas.errors import SpecError
from tests.fake_fleet import never


def node(gpus: float, kind: str = "A100", **labels: str) -> Node:
    named = {name.replace("_", "-"): value for name, value in labels.items()}
    return Node({"CPU": 32.0, "GPU": gpus}, {ACCELERATOR: kind, **named})


NODES = [Node({}, {}), node(8), node(8), node(4, "H100"), node(1, "L4", market="spot")]


def need(gpus: float, cpus: float = 4, stages: int = 1, **labels: str) -> GroupPlan:
    named = {ACCELERATOR if name == "kind" else name: value for name, value in labels.items()}
    plan = GroupPlan("main", never, 1, 8, "weights", cpus=cpus, gpus=gpus)
    return plan._replace(stages=stages, labels=named)


def require(plan: GroupPlan, *nodes: Node, **more: bool) -> None:
    require_places([plan], Cluster(nodes or NODES, **more))


@pytest.mark.parametrize(
    "plan",
    [
        need(8),
        need(0.5),
        need(0, cpus=32),
        need(16, stages=2),
        need(4, kind="H100"),
        need(8, kind="!H100"),
        need(8, kind="in(H100, A100)"),
        need(1, kind="!in(A100,H100)", market="spot"),
        need(8, market="!spot"),
    ],
)
def test_places_that_some_node_has_are_not_refused(plan: GroupPlan):
    require(plan)


@pytest.mark.parametrize(
    ("plan", "said"),
    [
        (need(16), r"4 CPUs and 16 GPUs on one node.*the largest of all nodes has 32 CPUs and 8"),
        (need(8, cpus=64), "64 CPUs and 8 GPUs on one node"),
        (need(0, cpus=64), "largest of all nodes has 32 CPUs"),
        (need(24, stages=2), "12 GPUs on each of up to 2 nodes"),
        (
            need(8, kind="H100"),
            r"of 5 nodes 1 have these labels; the largest of them has.* 4",
        ),
        (
            need(1, kind="B200"),
            r"of 5 nodes 0 .*A100 \(2 nodes\), H100 \(1 nodes\), L4",
        ),
        (need(4, market="spot"), "of 5 nodes 1 have"),
        (need(1, market="in(a,b)"), "of 5 nodes 0 have"),
    ],
)
def test_places_that_no_node_has_are_refused_with_the_numbers(plan: GroupPlan, said: str):
    with pytest.raises(SpecError, match=rf"execution.engines.main: each engine .*{said}"):
        require(plan)


def test_places_that_an_autoscaler_has_declared_are_not_refused():
    declared = Node({"CPU": 64.0, "GPU": 16.0}, None)
    require(need(16, kind="B200"), *NODES, declared)
    with pytest.raises(SpecError, match="32 GPUs"):
        require(need(32), *NODES, declared)


def test_places_in_a_cluster_of_which_not_all_is_known_are_waited_for():
    require(need(16), may_grow=True)


@pytest.mark.parametrize(
    ("nodes", "per_stage", "torn"),
    [("aabb", 2, []), ("aaaa", 2, []), ("aaab", 2, [3, 1]), ("abcd", 1, []), ("aaaabb", 3, [4, 2])],
)
def test_stages_lie_whole_on_nodes(nodes: str, per_stage: int, torn: list[int]):
    assert torn_stages(nodes, per_stage) == torn
