"""Whole runs on a cluster, whose processes are killed one after the other; no row is lost.

`make test` takes the three schedules below, which hold each kind of fault at least once. A seed
makes any other: `CHAOS_SEED=7 .venv/bin/pytest tests/chaos/test_cluster_faults.py`, and so many
from there with `CHAOS_RUNS` (0: for ever).
"""

import json
import os
import random
import sys
from collections import Counter
from collections.abc import Iterator
from itertools import count, islice
from pathlib import Path

import pytest

from tests.chaos.cluster_run import ClusterRun, ClusterScore, Unharmed, unharmed
from tests.chaos.cluster_schedule import ClusterFault, ClusterSchedule, draw
from tests.ray_cluster import RayCluster, ray_cluster

SEED, RUNS = os.environ.get("CHAOS_SEED"), os.environ.get("CHAOS_RUNS")
AT_RANDOM = SEED is not None or RUNS is not None

DRIVER = (
    ClusterFault("driver killed planning", after_s=0.3),
    ClusterFault("driver killed loading", after_s=1.5),
    ClusterFault("driver killed growing", waves=2),
    ClusterFault("driver evicted growing", waves=3),
    ClusterFault("driver killed sealing"),
)
BELOW = (
    ClusterFault("engine starting killed"),
    ClusterFault("engine busy killed", waves=1),
    ClusterFault("worker killed", waves=1),
    ClusterFault("engine idle killed", waves=1),
    ClusterFault("node killed", waves=1),
)
HEAD = (ClusterFault("head node killed", waves=2),)

pytestmark = [pytest.mark.ray, pytest.mark.long]


@pytest.fixture(scope="module")
def expected() -> Unharmed:
    return unharmed()


@pytest.fixture(scope="module")
def cluster() -> Iterator[RayCluster]:
    with ray_cluster() as cluster:
        yield cluster


@pytest.fixture(scope="module")
def score() -> Iterator[ClusterScore]:
    """Printed, and appended to the file that `CHAOS_REPORT` names."""
    score = ClusterScore()
    yield score
    line = json.dumps(score.figures())
    sys.stdout.write(f"\n{line}\n")
    if file := os.environ.get("CHAOS_REPORT"):
        with Path(file).open("a", encoding="utf-8") as lines:
            lines.write(line + "\n")


@pytest.mark.skipif(AT_RANDOM, reason="CHAOS_SEED or CHAOS_RUNS asks for other schedules")
@pytest.mark.parametrize("faults", [DRIVER, BELOW, HEAD], ids=["driver", "below", "head"])
@pytest.mark.timeout(400)
def test_generate_processes_of_a_cluster_killed_one_by_one_rows_are_whole(
    faults: tuple[ClusterFault, ...],
    cluster: RayCluster,
    expected: Unharmed,
    score: ClusterScore,
    tmp_path: Path,
):
    before = score.injected.copy()
    ClusterRun(cluster, tmp_path, expected, score).prove(ClusterSchedule(0, faults))
    # A victim that is not found, or a driver that has ended before its time, is no fault injected.
    assert score.injected - before == Counter(fault.kind for fault in faults)


@pytest.mark.skipif(not AT_RANDOM, reason="neither CHAOS_SEED nor CHAOS_RUNS is set")
@pytest.mark.timeout(0)
def test_generate_schedules_of_kills_on_a_cluster_rows_are_whole(
    cluster: RayCluster, expected: Unharmed, score: ClusterScore, tmp_path: Path
):
    first = random.randrange(10**9) if SEED is None else int(SEED)
    many = 1 if RUNS is None else int(RUNS)
    for seed in islice(count(first), many or None):
        schedule = draw(seed)
        sys.stdout.write(f"\n{schedule}\n")
        folder = tmp_path / str(seed)
        folder.mkdir()
        ClusterRun(cluster, folder, expected, score).prove(schedule)
