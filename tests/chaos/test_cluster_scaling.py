"""Engines on a cluster whose nodes differ, come and go; GPUs are words, and engines scripted."""

import json
import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np
import pytest

from pipeline.engines.scripted import WEIGHTS, ScriptedConfig, ScriptedEngine
from pipeline.pool.pool import GroupPlan, PoolLimits
from pipeline.pool.ray import RayPool
from pipeline.pool.ray_places import ACCELERATOR
from schemas.errors import EngineError, SpecError
from schemas.records import ChildKey, EngineReport, Outcome, Request, Sampling
from tests.ray_cluster import RayCluster, ray_cluster

PATIENCE_S = 240.0
LIMITS = PoolLimits(attempts=3, restarts=0, start_s=200, stall_s=200, machine_restarts=0)

pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.timeout(600)]


class TellingEngine(ScriptedEngine):
    """Says where it lies, when it loaded, and what its process was told."""

    def start(self) -> EngineReport:
        import ray

        began = time.time()
        report = super().start()
        node = ray.get_runtime_context().get_node_labels()
        said = {"pool": node.get("pool"), "began": began, "ended": time.time()}
        return report._replace(device=json.dumps(said | {"told": os.environ.get("TOLD")}))


@pytest.fixture(scope="module")
def cluster() -> Iterator[RayCluster]:
    with pytest.MonkeyPatch.context() as patch, ray_cluster(nodes=0, silent_s=20) as cluster:
        for name in ("RAY_AUTH_MODE", "RAY_TMPDIR"):
            patch.setenv(name, cluster.environment[name])
        import ray

        ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])
        cluster.add_node(8, 8, {"pool": "old", ACCELERATOR: "A100"})
        cluster.add_node(8, 8, {"pool": "new", ACCELERATOR: "H100"})
        yield cluster


@pytest.fixture
def make_pool(cluster: RayCluster) -> Iterator[Callable[..., RayPool]]:
    pools: list[RayPool] = []

    def make(*groups: GroupPlan, **limits: Any) -> RayPool:
        pools.append(RayPool(groups, LIMITS._replace(**limits), cluster.address))
        return pools[-1]

    yield make
    for pool in pools:
        pool.close()


def make_group(name: str = "main", least: int = 1, **more: Any) -> GroupPlan:
    settings = more.pop("scripted", {})
    factory = partial(TellingEngine, ScriptedConfig(**settings))
    return GroupPlan(name, factory, least, 8, WEIGHTS, **{"cpus": 0.1, "gpus": 1, **more})


def make_wave(wave: str, parents: int, *, group: str = "main") -> list[Request]:
    prompt = np.arange(8, dtype=np.int32)
    return [
        Request(wave, f"{wave}/{i}", 0, 4, prompt, Sampling(max_tokens=200), i, group=group)
        for i in range(parents)
    ]


def until(pool: RayPool, reached: Callable[[], object]) -> tuple[float, list[Outcome]]:
    """How long it took, and what came meanwhile."""
    began, outcomes = time.monotonic(), []
    while not reached():
        assert time.monotonic() < began + PATIENCE_S, pool.stats()
        outcomes += pool.collect(0.1)
    return time.monotonic() - began, outcomes


def said(pool: RayPool) -> list[Mapping[str, Any]]:
    """By each engine that loaded."""
    return [json.loads(report.device) for report in pool.reports()]


def say(**figures: Any) -> None:
    sys.stdout.write(f"\n{json.dumps(figures)}\n")


@pytest.mark.parametrize(
    ("group", "words"),
    [
        ({"gpus": 16}, "16 GPUs on one node.*largest of all nodes has 8 CPUs and 8 GPUs"),
        ({"gpus": 1, "labels": {ACCELERATOR: "B200"}}, r"A100 \(1 nodes\), H100 \(1 nodes\)"),
    ],
)
def test_start_refuses_at_once_what_no_node_can_give(
    make_pool: Callable[..., RayPool], group: dict[str, Any], words: str
):
    pool = make_pool(make_group(**group))
    with pytest.raises(SpecError, match=words):
        pool.start()


def test_start_engines_lie_where_their_labels_say_and_hear_what_they_are_told(
    make_pool: Callable[..., RayPool],
):
    pool = make_pool(
        make_group("a", labels={ACCELERATOR: "H100"}, environment={"TOLD": "a=1"}),
        make_group("b", labels={"pool": "!new"}),
    )
    pool.start()
    assert {(one["pool"], one["told"]) for one in said(pool)} == {("new", "a=1"), ("old", None)}


def test_start_small_engines_share_a_gpu(make_pool: Callable[..., RayPool]):
    pool = make_pool(
        make_group("a", 9, gpus=0.4, labels={"pool": "old"}),
        make_group("b", 8, gpus=0.2, labels={"pool": "old"}, most=10),
    )
    pool.start()
    until(pool, lambda: len(pool.stats().engines) >= 17)
    assert pool.stats().gpus >= 9 * 0.4 + 8 * 0.2 - 1e-9


def test_start_sixteen_engines_load_four_at_once(make_pool: Callable[..., RayPool]):
    began = time.monotonic()
    pool = make_pool(make_group(least=16, loading=4, scripted={"load_s": 1.0}))
    pool.start()
    first_s = time.monotonic() - began
    until(pool, lambda: len(pool.stats().engines) == 16)
    say(first_of_16_loaded_s=first_s, all_16_loaded_s=time.monotonic() - began)
    spans = [(one["began"], one["ended"]) for one in said(pool)]
    assert len(spans) == 16
    assert max(sum(a <= at < b for a, b in spans) for at, _ in spans) <= 4
    assert pool.stats().gpus == 16


def test_start_few_places_are_shared_between_the_least_of_groups(
    make_pool: Callable[..., RayPool],
):
    pool = make_pool(make_group("a", 2, most=64, gpus=4), make_group("b", 2, gpus=4))
    pool.start()
    until(pool, lambda: len(pool.stats().engines) == 4)
    assert Counter(name[0] for name in pool.stats().engines) == {"a": 2, "b": 2}
    assert pool.stats().waiting == 62


def test_start_stages_lie_whole_on_nodes_and_free_them(make_pool: Callable[..., RayPool]):
    import ray

    pool = make_pool(make_group(gpus=16, cpus=2, stages=2))
    pool.start()
    assert pool.stats().gpus == 16
    pool.submit(make_wave("w", 4))
    until(pool, lambda: not pool.collect(0.1) and not pool.stats().engines["main-0"].running)
    assert ray.available_resources().get("GPU", 0) == 0
    pool.close()
    again = make_pool(make_group(gpus=8, labels={"pool": "old"}))
    again.start()


def test_start_stages_that_are_torn_apart_are_refused(make_pool: Callable[..., RayPool]):
    pool = make_pool(make_group(gpus=12, stages=2))
    with pytest.raises(EngineError, match=r"2 stages of 6 GPUs.*as \[8, 4\] on 2 nodes"):
        pool.start()


@pytest.mark.long
def test_nodes_come_and_go_engines_with_them_and_every_child_has_one_outcome(
    cluster: RayCluster, make_pool: Callable[..., RayPool]
):
    cluster.add_node(4, 2, {"pool": "spot"})
    slow = {"step_s": 0.05, "max_num_seqs": 4}
    pool = make_pool(make_group(labels={"pool": "spot"}, most=4, scripted=slow))
    pool.start()
    waves = [make_wave(f"w{i}", 40) for i in range(4)]
    for wave in waves:
        pool.submit(wave)
    _, outcomes = until(pool, lambda: len(pool.stats().engines) == 2)

    node = cluster.add_node(4, 2, {"pool": "spot"})
    began = time.monotonic()
    busy = lambda: sum(stats.tokens > 0 for stats in pool.stats().engines.values())  # noqa: E731
    _, more = until(pool, lambda: busy() == 4)
    say(joined_and_at_work_s=time.monotonic() - began)
    outcomes += more

    cluster.kill_node(node)
    began = time.monotonic()
    _, more = until(pool, lambda: len(pool.stats().engines) == 2)
    say(loss_noticed_s=time.monotonic() - began)
    outcomes += more
    assert (pool.stats().restarts, pool.stats().machine_restarts) == (0, 0)

    wanted = [key for wave in waves for request in wave for key in request.keys]
    while len(outcomes) < len(wanted):
        outcomes += until(pool, pool.stats)[1] or pool.collect(1.0)
    assert Counter[ChildKey](one.key for one in outcomes) == Counter(wanted)
    assert pool.stats().requeued > 0
