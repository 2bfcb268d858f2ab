"""What all tasks promise: the results of the functions, in order, wherever they ran."""

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.pool import ray_tasks
from pipeline.pool.ray_tasks import MOST_GROUPS, MOST_PACKS, RayTasks, slices
from pipeline.pool.tasks import LocalTasks, Tasks
from schemas.errors import RETRY, CorruptData, NoEngine
from tests import sums


@pytest.fixture(scope="module")
def ray_here() -> Iterator[None]:
    """One small Ray for the module, which tasks join."""
    os.environ.setdefault("RAY_AUTH_MODE", "disabled")
    folder = tempfile.TemporaryDirectory(prefix="ray-", dir="/tmp", ignore_cleanup_errors=True)
    with folder as name, pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_TMPDIR", name)
        import ray

        ray.cloudpickle.register_pickle_by_value(sums)
        ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False)
        yield
        ray.shutdown()
        ray.cloudpickle.unregister_pickle_by_value(sums)


@pytest.fixture(params=["local", "spilling", pytest.param("ray", marks=pytest.mark.ray)])
def tasks(request: pytest.FixtureRequest) -> Iterator[Tasks]:
    if request.param == "ray":
        request.getfixturevalue("ray_here")
        made: Tasks = RayTasks()
    else:
        made = LocalTasks(2, in_memory_bytes=0 if request.param == "spilling" else 1 << 20)
    yield made
    made.close()
    made.close()


def test_map_gives_results_in_the_order_of_items(tasks):
    assert list(tasks.map(sums.square, range(40))) == [n * n for n in range(40)]
    assert list(tasks.map(sums.square, [])) == []


def test_map_takes_few_items_ahead(tasks):
    taken = []

    def items() -> Iterator[int]:
        for number in range(1000):
            taken.append(number)
            yield number

    assert next(tasks.map(sums.square, items())) == 0
    assert len(taken) < 50


@pytest.mark.parametrize("partitions", [1, 3, 16])
def test_shuffle_joins_each_partition_over_all_items(tasks, partitions):
    split = partial(sums.by_remainder, partitions)
    joined = list(tasks.shuffle(split, range(12), sums.add_up, partitions))
    expected = sorted((n, number) for number in range(12) for n in range(number))
    for place, table in enumerate(joined):
        assert table.tolist() == [pair for pair in expected if pair[0] % partitions == place]
    assert len(joined) == partitions


def test_shuffle_many_items(tasks):
    split = partial(sums.by_remainder, 2)
    joined = list(tasks.shuffle(split, [3] * 60, sums.add_up, 2))
    assert sum(len(table) for table in joined) == 180
    assert np.unique(joined[0]["number"]).tolist() == [0, 2]


def test_shuffle_of_more_items_and_partitions_than_references_is_the_same(tasks):
    split = partial(sums.by_remainder, MOST_PACKS + 6)
    sizes = [number % 80 for number in range(MOST_GROUPS + 72)]
    joined = list(tasks.shuffle(split, sizes, sums.add_up, MOST_PACKS + 6))
    expected = sorted((n, size) for size in sizes for n in range(size))
    assert len(joined) == MOST_PACKS + 6
    for place, table in enumerate(joined):
        assert table.tolist() == [e for e in expected if e[0] % (MOST_PACKS + 6) == place]


@given(st.integers(0, 400), st.integers(1, 128))
def test_slices_are_few_and_of_about_one_size_and_hold_all(count, most):
    found = slices(count, most)
    assert len(found) == min(count, most)
    things = range(count)
    assert [thing for some in found for thing in things[some]] == list(things)
    sizes = [len(things[some]) for some in found]
    assert not sizes or max(sizes) - min(sizes) <= 1


def test_map_raises_our_errors_as_they_are(tasks):
    with pytest.raises(CorruptData, match="number 0 is damaged"):
        list(tasks.map(sums.refuse, range(3)))


def test_map_raises_other_errors_with_their_cause(tasks):
    with pytest.raises(Exception, match="number 0"):
        list(tasks.map(sums.stumble, range(3)))


def test_shuffle_raises_what_a_split_raised(tasks):
    with pytest.raises(CorruptData, match="number 0 is damaged"):
        list(tasks.shuffle(sums.refuse, range(3), sums.add_up, 2))


@contextmanager
def all_cpus_held() -> Iterator[None]:
    """Others hold both CPUs of the Ray that is here."""
    import ray

    class Holder:
        def holds(self) -> bool:
            return True

    actor = ray.remote(num_cpus=1)(Holder)
    holders = [actor.remote() for _ in range(2)]
    assert all(ray.get([holder.holds.remote() for holder in holders]))
    try:
        yield
    finally:
        for holder in holders:
            ray.kill(holder)


@pytest.mark.ray
@pytest.mark.parametrize(
    "work",
    [
        lambda tasks: tasks.map(sums.square, range(3)),
        lambda tasks: tasks.shuffle(partial(sums.by_remainder, 2), range(12), sums.add_up, 2),
    ],
    ids=["map", "shuffle"],
)
def test_tasks_on_a_full_ray_are_told_of_and_given_up(
    work: Callable[[Tasks], Iterator[object]],
    ray_here: None,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(ray_tasks, "_FIRST_NOTE_S", 0.5)
    tasks = RayTasks(wait_s=3)
    with all_cpus_held(), pytest.raises(NoEngine, match=r"2 CPUs \(0 free\)") as caught:
        list(work(tasks))
    tasks.close()
    assert caught.value.exit_code == RETRY
    assert "No task has ended for" in caplog.text
    assert "each asks for 1 CPU" in caplog.text
