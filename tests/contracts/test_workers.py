"""What all workers promise: each wave's measures once, in order, whatever dies."""

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from pipeline.pool.local_workers import InlineWorkers, ProcessWorkers
from pipeline.pool.parts import WorkerLimits
from pipeline.pool.ray_workers import RayWorkers
from pipeline.pool.workers import Workers
from schemas.errors import ArboristError, FilterError, PoolError, SpecError
from schemas.measures import Measures, Turns
from tests import measuring
from tests.measuring import MakeMeasure, make_turns

PATIENCE_S = 60.0
COUNT = 2
Make = Callable[..., Workers]
"""Of what makes a measure, and the limits."""
COMPARED = slice(0, 3)
"""The scores that say nothing about the worker."""


@pytest.fixture(scope="module")
def ray_here() -> Iterator[None]:
    """One small Ray for the module, where workers join it."""
    os.environ.setdefault("RAY_AUTH_MODE", "disabled")
    folder = tempfile.TemporaryDirectory(prefix="ray-", dir="/tmp", ignore_cleanup_errors=True)
    with folder as name, pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_TMPDIR", name)
        import ray

        ray.cloudpickle.register_pickle_by_value(measuring)
        ray.init(address="local", num_cpus=COUNT, include_dashboard=False, log_to_driver=False)
        yield
        ray.shutdown()
        ray.cloudpickle.unregister_pickle_by_value(measuring)


REMOTE = ["processes", pytest.param("ray", marks=pytest.mark.ray)]


def make_workers(kind: str, make_measure: MakeMeasure, limits: WorkerLimits | None) -> Workers:
    if kind == "inline":
        return InlineWorkers(make_measure)
    if kind == "processes":
        return ProcessWorkers(make_measure, COUNT, limits)
    return RayWorkers(make_measure, COUNT, limits=limits)


def _make(request: pytest.FixtureRequest) -> Iterator[Make]:
    if request.param == "ray":
        request.getfixturevalue("ray_here")
    made: list[Workers] = []

    def make(make_measure: MakeMeasure, limits: WorkerLimits | None = None) -> Workers:
        made.append(make_workers(request.param, make_measure, limits))
        return made[-1]

    yield make
    for workers in made:
        workers.close()


make = pytest.fixture(_make, params=["inline", *REMOTE])
make_remote = pytest.fixture(_make, params=REMOTE)


def collect(workers: Workers, waves: int) -> dict[str, Measures]:
    """So many waves, each once."""
    done: dict[str, Measures] = {}
    deadline = time.monotonic() + PATIENCE_S
    while len(done) < waves:
        assert time.monotonic() < deadline, f"{len(done)} of {waves} waves came in time"
        for wave, measures in workers.collect():
            assert wave not in done
            done[wave] = measures
        threading.Event().wait(0.005)
    assert workers.collect() == []
    return done


def wait_for_pids(workers: Workers) -> list[int]:
    assert isinstance(workers, ProcessWorkers | RayWorkers)
    deadline = time.monotonic() + PATIENCE_S
    while len(workers.pids()) < COUNT and time.monotonic() < deadline:
        assert workers.collect() == []
        threading.Event().wait(0.01)
    return workers.pids()


def is_running(pid: int) -> bool:
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return "State:\tZ" not in status


def left_running(pids: Sequence[int]) -> list[int]:
    """Those that still run when the time is over."""
    deadline = time.monotonic() + PATIENCE_S
    while (left := [pid for pid in pids if is_running(pid)]) and time.monotonic() < deadline:
        threading.Event().wait(0.02)
    return left


def assert_measured(measures: Measures, turns: Turns) -> None:
    """The same as one process alone makes of all turns at once."""
    alone = MakeMeasure()()(turns)
    assert measures.names == alone.names
    assert np.array_equal(measures.scores[:, COMPARED], alone.scores[:, COMPARED])
    assert np.array_equal(measures.signatures, alone.signatures)
    assert np.array_equal(measures.vectors, alone.vectors)


def test_collect_many_waves_of_all_sizes_each_once_and_in_order(make: Make):
    workers = make(MakeMeasure())
    workers.start()
    sizes = [0, 1, 31, 32, 33, 256, 257, 1000, 2048, *range(2, 30)]
    waves = {f"w{i}": make_turns(size, family=3) for i, size in enumerate(sizes)}
    for wave, turns in waves.items():
        workers.submit(wave, turns)
    done = collect(workers, len(waves))
    for wave, turns in waves.items():
        assert_measured(done[wave], turns)


def test_collect_nothing_submitted_is_empty(make: Make):
    workers = make(MakeMeasure())
    workers.start()
    assert workers.collect() == []


def test_collect_what_a_measure_raises_comes_unchanged(make: Make):
    workers = make(MakeMeasure(raises_at="n300"))
    workers.start()
    workers.submit("w0", make_turns(600))
    with pytest.raises(FilterError, match=r"^filter `x` failed on node n300$"):
        collect(workers, 1)


def test_collect_foreign_error_is_one_of_ours_with_its_text_and_place(make: Make):
    workers = make(MakeMeasure(bug_at="n300"))
    workers.start()
    workers.submit("w0", make_turns(600))
    with pytest.raises(PoolError, match=r"ZeroDivisionError: at node n300 \(.*measuring\.py:\d+\)"):
        collect(workers, 1)


def test_start_factory_that_raises_reaches_the_caller(make: Make):
    workers = make(MakeMeasure(fails_start=True))
    with pytest.raises(SpecError, match="no such embedder"):
        workers.start()
        collect(workers, 1)


def test_close_twice_and_amid_work_leaves_no_process(make: Make, tmp_path: Path):
    workers = make(MakeMeasure())
    workers.start()
    pids = [] if isinstance(workers, InlineWorkers) else wait_for_pids(workers)
    workers.submit("w0", make_turns(2048))
    workers.close()
    workers.close()
    assert left_running(pids) == []


def test_close_without_start_does_nothing(make: Make):
    make(MakeMeasure()).close()


def test_close_worker_that_never_answers_does_not_wait(make_remote: Make, tmp_path: Path):
    workers = make_remote(MakeMeasure(waits_for=str(tmp_path / "never")))
    workers.start()
    workers.submit("w0", make_turns(600))
    pids = wait_for_pids(workers)
    workers.close()
    assert left_running(pids) == []


def test_submit_one_wave_is_shared_by_all_workers(make_remote: Make, tmp_path: Path):
    workers = make_remote(MakeMeasure(meets=str(tmp_path), company=COUNT))
    workers.start()
    workers.submit("w0", make_turns(1024))
    measures = collect(workers, 1)["w0"]
    assert len(set(measures.column("pid"))) == COUNT
    assert set(measures.column("threads")) == {1.0}


def test_collect_worker_killed_while_it_measures_is_replaced(make_remote: Make, tmp_path: Path):
    gate = tmp_path / "gate"
    workers = make_remote(MakeMeasure(waits_for=str(gate)))
    workers.start()
    waves = {f"w{i}": make_turns(600) for i in range(4)}
    for wave, turns in waves.items():
        workers.submit(wave, turns)
    killed = wait_for_pids(workers)
    for pid in killed:
        os.kill(pid, signal.SIGKILL)
    gate.touch()
    done = collect(workers, len(waves))
    for wave, turns in waves.items():
        assert_measured(done[wave], turns)
    assert set(workers.pids()).isdisjoint(killed)


def test_collect_worker_killed_while_idle_is_replaced(make_remote: Make):
    workers = make_remote(MakeMeasure())
    workers.start()
    workers.submit("w0", make_turns(300))
    collect(workers, 1)
    for pid in wait_for_pids(workers):
        os.kill(pid, signal.SIGKILL)
    workers.submit("w1", make_turns(300))
    assert_measured(collect(workers, 1)["w1"], make_turns(300))


def test_collect_turn_that_kills_its_worker_once_is_measured(make_remote: Make, tmp_path: Path):
    workers = make_remote(MakeMeasure(dies_at="n300", once=str(tmp_path / "once")))
    workers.start()
    workers.submit("w0", make_turns(600))
    assert_measured(collect(workers, 1)["w0"], make_turns(600))


def test_collect_turn_that_always_kills_is_an_error_that_names_the_wave(make_remote: Make):
    workers = make_remote(MakeMeasure(dies_at="n300"))
    workers.start()
    workers.submit("w0.7", make_turns(600))
    with pytest.raises(PoolError, match=r"3 workers .* wave w0\.7, nodes n256 to n383"):
        collect(workers, 1)


def test_collect_worker_that_is_stuck_once_is_replaced(
    make_remote: Make, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    measure = MakeMeasure(stuck_at="n300", once=str(tmp_path / "once"))
    workers = make_remote(measure, WorkerLimits(part_s=2.0))
    workers.start()
    before = wait_for_pids(workers)
    workers.submit("w0.7", make_turns(600))
    assert_measured(collect(workers, 1)["w0.7"], make_turns(600))
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == 1, said
    assert "wave w0.7, nodes n256 to n383" in said[0] and "2 s (`execution.stall_s`)" in said[0]
    assert len(left_running([pid for pid in before if pid not in workers.pids()])) == 0
    assert len(set(before) & set(wait_for_pids(workers))) == COUNT - 1


def test_collect_turn_that_always_sticks_is_an_error_that_names_the_limit(make_remote: Make):
    workers = make_remote(MakeMeasure(stuck_at="n300"), WorkerLimits(part_s=0.5))
    workers.start()
    workers.submit("w0", make_turns(600))
    with pytest.raises(PoolError, match=r"3 workers .* nodes n256 to n383.*stall_s"):
        collect(workers, 1)


def test_collect_worker_that_is_stuck_at_start_is_an_error(make_remote: Make):
    workers = make_remote(MakeMeasure(stuck_at_start=True), WorkerLimits(start_s=1.0))
    workers.start()
    workers.submit("w0", make_turns(10))
    with pytest.raises(PoolError, match=r"in a row .*start_s"):
        collect(workers, 1)


def test_measures_are_of_equal_parts_whoever_measures(make: Make):
    """Some embedders give other last digits to what is embedded with other texts."""
    workers = make(MakeMeasure())
    workers.start()
    workers.submit("w0", make_turns(300))
    assert collect(workers, 1)["w0"].column("together").tolist() == [128] * 256 + [44] * 44


def test_collect_worker_that_dies_at_start_is_an_error(make_remote: Make):
    workers = make_remote(MakeMeasure(dies_at_start=True))
    workers.start()
    workers.submit("w0", make_turns(10))
    with pytest.raises(PoolError, match="in a row"):
        collect(workers, 1)


def test_submit_same_wave_twice_is_an_error(make_remote: Make, tmp_path: Path):
    workers = make_remote(MakeMeasure(waits_for=str(tmp_path / "never")))
    workers.start()
    workers.submit("w0", make_turns(10))
    with pytest.raises(ArboristError, match="w0 was submitted twice"):
        workers.submit("w0", make_turns(10))


ABANDONED = """
import os, signal, sys
sys.path[:0] = [{root!r}]
from tests.contracts.test_workers import *
workers = make_workers("processes", MakeMeasure(waits_for="/nowhere/never"), None)
workers.start()
workers.submit("w0", make_turns(600))
print(*wait_for_pids(workers), flush=True)
os.kill(os.getpid(), signal.{signal})
"""


@pytest.mark.parametrize("name", ["SIGKILL", "SIGTERM", "SIGINT"])
def test_driver_that_dies_takes_its_worker_processes_with_it(name: str):
    root = str(Path(__file__).parents[2])
    script = ABANDONED.format(root=root, signal=name)
    driver = subprocess.run(
        [sys.executable, "-c", script], cwd=root, capture_output=True, text=True, timeout=PATIENCE_S
    )
    pids = [int(word) for word in driver.stdout.split()]
    assert len(pids) == COUNT, driver.stderr
    assert left_running(pids) == []


@pytest.mark.ray
def test_ray_workers_find_a_place_where_engines_hold_every_cpu(ray_here: None):
    import ray

    @ray.remote(num_cpus=COUNT)
    class Engine:
        def ready(self) -> bool:
            return True

    engine = Engine.remote()
    assert ray.get(engine.ready.remote())
    now = [0.0]
    workers = RayWorkers(MakeMeasure(), COUNT, clock=lambda: now[0])
    workers.start()
    workers.submit("w0", make_turns(300))
    workers.collect()
    now[0] = 3600.0
    assert_measured(collect(workers, 1)["w0"], make_turns(300))
    workers.close()
    ray.kill(engine)


OWN_RAY = """
import os, sys
sys.path[:0] = [{root!r}, {root!r} + "/tests/contracts"]
from test_pool import LIMITS, RayPool, make_group, make_wave, run
from test_workers import *
pool = RayPool([make_group()._replace(cpus=2 * os.cpu_count())], LIMITS)
pool.start()
import ray
ray.cloudpickle.register_pickle_by_value(measuring)
workers = RayWorkers(MakeMeasure(), COUNT)
workers.start()
workers.submit("w0", make_turns(300))
assert_measured(collect(workers, 1)["w0"], make_turns(300))
pids = workers.pids()
workers.close()
assert left_running(pids) == []
run(pool, make_wave("w0", 10))
pool.close()
assert not ray.is_initialized()
"""


@pytest.mark.slow
@pytest.mark.ray
def test_ray_workers_share_the_ray_that_the_pool_started_for_itself():
    root = str(Path(__file__).parents[2])
    keep = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    folder = tempfile.TemporaryDirectory(prefix="ray-", dir="/tmp", ignore_cleanup_errors=True)
    with folder as name:
        subprocess.run(
            [sys.executable, "-c", OWN_RAY.format(root=root)],
            cwd=root,
            env=keep | {"RAY_TMPDIR": name, "HOME": name},
            check=True,
            timeout=2 * PATIENCE_S,
        )
