import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.launch.nodes import least_nodes, node_groups
from schemas.engine_group_spec import EngineGroupSpec
from schemas.errors import SpecError


def engines(**settings):
    return EngineGroupSpec.model_validate({"model": "/m", **settings})


@pytest.mark.parametrize(
    ("group", "per_node", "expected"),
    [
        ({"gpus": 1, "replicas": 8}, 8, (8, 8, 1)),
        ({"gpus": 1, "replicas": 9}, 8, (8, 8, 2)),
        ({"gpus": 1, "replicas": 3}, 8, (3, 3, 1)),
        ({"gpus": 4, "tensor_parallel": 4, "replicas": 5}, 8, (8, 2, 3)),
        ({"gpus": 3, "tensor_parallel": 3, "replicas": 2}, 8, (6, 2, 1)),
        ({"gpus": 0.25, "replicas": 9}, 2, (2, 8, 2)),
        ({"gpus": 0.4, "replicas": 4}, 2, (2, 4, 1)),
        ({"gpus": 0.5, "replicas": 1}, 8, (1, 1, 1)),
        ({"gpus": 16, "tensor_parallel": 8, "pipeline_parallel": 2, "replicas": 2}, 8, (8, 1, 4)),
    ],
    ids=str,
)
def test_nodes_hold_the_engines(group, per_node, expected):
    [made] = node_groups({"main": engines(**group)}, per_node)
    assert (made.gpus, made.seats, made.least) == expected


def test_nodes_follow_the_engines_between_least_and_most():
    [made] = node_groups({"main": engines(gpus=1, replicas={"least": 3, "most": 40})}, 8)
    assert (made.least, made.most, made.gpus) == (1, 5, 8)


def test_needs_that_are_alike_share_nodes_and_others_do_not():
    groups = {
        "main": engines(gpus=1, replicas=4, accelerator="H100", cpus=2),
        "judge": engines(gpus=1, replicas=4, accelerator="H100", cpus=6),
        "user": engines(gpus=1, accelerator="L4"),
        "steady": engines(gpus=1, accelerator="L4", labels={"pool": "steady"}),
        "large": engines(gpus=2, tensor_parallel=2, accelerator="H100"),
    }
    made = {group.engines: group for group in node_groups(groups, 8)}

    assert set(made) == {("main", "judge"), ("user",), ("steady",), ("large",)}
    shared = made["main", "judge"]
    assert (shared.least, shared.gpus, shared.seats) == (1, 8, 8)
    assert shared.cpus >= 4 * (2 + 1) + 4 * (6 + 1)


def test_engines_without_gpus_get_nodes_too():
    [made] = node_groups({"main": engines(cpus=3, replicas=10)}, 8)
    assert (made.gpus, made.seats, made.least) == (0, 4, 3)


def test_engine_that_no_node_holds_is_refused_with_the_numbers():
    with pytest.raises(SpecError, match=r"main.*16 GPUs.*gpus_per_node is 8"):
        node_groups({"main": engines(gpus=16, tensor_parallel=16)}, 8)


def test_slurm_puts_small_engines_beside_large_ones():
    groups = {
        "large": engines(gpus=4, tensor_parallel=4, replicas=3),
        "small": engines(gpus=1, replicas=4),
        "tiny": engines(gpus=0.5, replicas={"least": 2, "most": 50}),
    }
    assert least_nodes(groups, 8, None) == 3
    assert least_nodes({"large": groups["large"], "small": groups["small"]}, 8, None) == 2


def test_slurm_counts_cpus_where_a_node_has_few():
    groups = {"main": engines(gpus=1, cpus=7, replicas=8)}
    assert least_nodes(groups, 8, None) == 1
    assert least_nodes(groups, 8, 32) == 2
    with pytest.raises(SpecError, match=r"8 CPUs.*cpus_per_node is 4"):
        least_nodes(groups, 8, 4)


def test_slurm_puts_no_engine_across_two_gpus():
    assert least_nodes({"main": engines(gpus=0.4, replicas=5)}, 2, None) == 2


@given(
    st.lists(
        st.tuples(st.sampled_from([0.25, 0.5, 1, 2, 4, 8]), st.integers(1, 12)),
        min_size=1,
        max_size=5,
    )
)
def test_nodes_are_never_too_few_for_the_gpus(asked):
    groups = {
        f"g{index}": engines(gpus=gpus, tensor_parallel=max(1, int(gpus)), replicas=replicas)
        for index, (gpus, replicas) in enumerate(asked)
    }
    gpus = sum(gpus * replicas for gpus, replicas in asked)

    assert least_nodes(groups, 8, None) == math.ceil(gpus / 8)
    assert sum(made.gpus * made.least for made in node_groups(groups, 8)) >= gpus
