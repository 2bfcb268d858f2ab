"""What every pool promises: each child asked for gets exactly one outcome, whatever dies."""

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from pipeline.engines.scripted import WEIGHTS, ScriptedConfig, ScriptedEngine
from pipeline.pool.local import LocalPool
from pipeline.pool.pool import GroupPlan, Pool, PoolLimits
from pipeline.pool.ray import RayPool
from schemas.errors import EngineError, ModelError, PoolError
from schemas.records import (
    ChildKey,
    Completion,
    EngineReport,
    Failure,
    Outcome,
    Request,
    Sampling,
)

LIMITS = PoolLimits(attempts=3, restarts=8, start_s=60, stall_s=60)
PATIENCE_S = 60
MakePool = Callable[..., Pool]


def make_engine(by_incarnation: dict[int, ScriptedConfig], incarnation: int) -> ScriptedEngine:
    return ScriptedEngine(by_incarnation[incarnation], incarnation)


def make_group(name: str = "main", *, replicas: int = 1, **settings) -> GroupPlan:
    factory = partial(ScriptedEngine, ScriptedConfig(**settings))
    return GroupPlan(name, factory, replicas, lease=32, weights=WEIGHTS, cpus=0.5)


def make_wave(wave: str, parents: int, n: int = 4, *, group: str = "main") -> list[Request]:
    return [
        Request(
            wave=wave,
            parent_id=f"{wave}/{i}",
            first_child=0,
            n=n,
            prompt=np.frombuffer(f"{wave}/{i}".encode(), dtype=np.uint8).astype(np.int32),
            sampling=Sampling(max_tokens=200),
            seed=1000 * i,
            group=group,
        )
        for i in range(parents)
    ]


def keys_of(requests: Sequence[Request]) -> list[ChildKey]:
    return [key for request in requests for key in request.keys]


def collect(pool: Pool, num: int) -> list[Outcome]:
    """At least so many outcomes, or what came in the time a test may take."""
    outcomes: list[Outcome] = []
    deadline = time.monotonic() + PATIENCE_S
    while len(outcomes) < num and time.monotonic() < deadline:
        outcomes += pool.collect(0.2)
    return outcomes


def run(pool: Pool, *waves: list[Request]) -> list[Outcome]:
    """Submit, collect, and hold that each child has one outcome and nothing else comes."""
    for wave in waves:
        pool.submit(wave)
    wanted = keys_of([request for wave in waves for request in wave])
    outcomes = collect(pool, len(wanted))
    assert Counter(one.key for one in outcomes) == Counter(wanted)
    assert pool.collect(0) == []
    return outcomes


def wait_for_engines(pool: Pool, num: int) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while len(pool.stats().engines) < num and time.monotonic() < deadline:
        pool.collect(0.05)


def is_running(pid: int) -> bool:
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return False
    return "State:\tZ" not in status


def wait_until_gone(pids: Sequence[int]) -> list[int]:
    """Those that still run when the time is over."""
    deadline = time.monotonic() + PATIENCE_S
    while (left := [pid for pid in pids if is_running(pid)]) and time.monotonic() < deadline:
        threading.Event().wait(0.05)
    return left


def ray_folder() -> tempfile.TemporaryDirectory[str]:
    """A folder whose name is short enough for Ray's sockets."""
    return tempfile.TemporaryDirectory(prefix="ray-", dir="/tmp", ignore_cleanup_errors=True)


@pytest.fixture(scope="module")
def ray_here() -> Iterator[None]:
    """One small Ray for the module, where pools join it."""
    os.environ.setdefault("RAY_AUTH_MODE", "disabled")
    with ray_folder() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_TMPDIR", folder)
        import ray

        # Actors cannot import a test file, so what it defines travels whole.
        ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])
        ray.init(address="local", num_cpus=8, include_dashboard=False, log_to_driver=False)
        yield
        ray.shutdown()


@pytest.fixture(params=["local", pytest.param("ray", marks=pytest.mark.ray)])
def make_pool(request: pytest.FixtureRequest) -> Iterator[MakePool]:
    kind = LocalPool if request.param == "local" else RayPool
    if kind is RayPool:
        request.getfixturevalue("ray_here")
    pools: list[Pool] = []

    def make(*groups: GroupPlan, **limits) -> Pool:
        pools.append(kind(groups, LIMITS._replace(**limits)))
        return pools[-1]

    yield make
    for pool in pools:
        pool.close()


def test_collect_healthy_engines_every_child_has_one_outcome(make_pool: MakePool):
    pool = make_pool(make_group(replicas=2))
    pool.start()
    outcomes = run(pool, make_wave("w0", 20), make_wave("w1", 20), make_wave("w2", 5, n=50))
    assert all(isinstance(one, Completion) for one in outcomes)
    assert (pool.stats().restarts, pool.stats().requeued, pool.stats().refused) == (0, 0, 0)
    assert [report.weights for report in pool.reports()] == [WEIGHTS]


def test_collect_is_the_same_text_whatever_the_pool_cuts(make_pool: MakePool):
    pool = make_pool(make_group(replicas=2))
    pool.start()
    wave = make_wave("w0", 2, n=50)
    texts = {one.key: one.text for one in run(pool, wave)}
    engine = ScriptedEngine(ScriptedConfig())
    for request in wave:
        engine.add(request)
    alone: list[Outcome] = []
    while engine.has_work():
        alone += engine.step()
    assert texts == {one.key: one.text for one in alone}


def test_submit_goes_to_the_group_that_is_named(make_pool: MakePool):
    pool = make_pool(make_group(), make_group("judge", fail_share=1.0))
    pool.start()
    outcomes = run(pool, make_wave("w0", 2), make_wave("w1", 2, group="judge"))
    failed = {one.key.parent_id for one in outcomes if isinstance(one, Failure)}
    assert failed == {"w1/0", "w1/1"}
    assert set(pool.stats().engines) == {"main-0", "judge-0"}


def test_collect_nothing_submitted_is_empty(make_pool: MakePool):
    pool = make_pool(make_group())
    pool.start()
    assert pool.collect(0) == []


def test_start_engine_that_fails_is_replaced(make_pool: MakePool):
    pool = make_pool(make_group(fail_start=True, faulty_incarnations=(0,)))
    pool.start()
    run(pool, make_wave("w0", 5))
    assert pool.stats().restarts == 1


def test_start_engine_that_never_loads_is_replaced(make_pool: MakePool):
    pool = make_pool(make_group(hang_start=True, faulty_incarnations=(0,)), start_s=2.0)
    pool.start()
    run(pool, make_wave("w0", 5))
    assert pool.stats().restarts == 1


def test_start_all_engines_fail_is_an_error_with_the_cause(make_pool: MakePool):
    pool = make_pool(make_group(fail_start=True), restarts=2)
    with pytest.raises(EngineError, match=r"2 of 2 `restarts`.*incarnation 2\) fails to start"):
        pool.start()


def test_start_other_weights_are_refused(make_pool: MakePool):
    pool = make_pool(make_group()._replace(weights="sha256:abc"))
    with pytest.raises(ModelError, match=r"main-0 .* expected digest sha256:abc, found scripted"):
        pool.start()


def test_collect_engine_dies_midway_its_children_go_to_another(make_pool: MakePool):
    pool = make_pool(make_group(replicas=2, die_after=10, faulty_incarnations=(0, 1)))
    pool.start()
    run(pool, make_wave("w0", 20), make_wave("w1", 20))
    stats = pool.stats()
    assert stats.restarts == 2
    assert stats.requeued > 0


def test_collect_engine_hangs_is_replaced(make_pool: MakePool):
    pool = make_pool(make_group(hang_after=10, faulty_incarnations=(0,)), stall_s=5.0)
    pool.start()
    run(pool, make_wave("w0", 20))
    assert pool.stats().restarts == 1


class BlockedEngine(ScriptedEngine):
    """Its first incarnation never returns from a step."""

    def step(self) -> list[Outcome]:
        if self._incarnation == 0:
            threading.Event().wait()
        return super().step()


def test_collect_engine_whose_step_never_returns_is_replaced(make_pool: MakePool):
    factory = partial(BlockedEngine, ScriptedConfig())
    pool = make_pool(make_group()._replace(make_engine=factory), stall_s=5.0)
    pool.start()
    run(pool, make_wave("w0", 20))
    assert pool.stats().restarts == 1


def test_collect_outcomes_that_come_late_and_again_are_one_each(make_pool: MakePool):
    faults = {"repeat_share": 0.5, "late_share": 0.5, "die_after": 40, "faulty_incarnations": (0,)}
    pool = make_pool(make_group(step_s=0.01, max_num_seqs=16, **faults))
    pool.start()
    run(pool, make_wave("w0", 20), make_wave("w1", 20))
    stats = pool.stats()
    assert stats.restarts == 1
    assert stats.refused > 0
    assert stats.requeued > 0


def test_abandon_and_ask_again_late_answers_to_the_first_are_refused(make_pool: MakePool):
    pool = make_pool(make_group(replicas=2, late_share=0.5, step_s=0.02))
    pool.start()
    wait_for_engines(pool, 2)
    wave = make_wave("w0", 8)
    pool.submit(wave)
    num_late = 32 - len(collect(pool, 1))
    pool.abandon()
    run(pool, wave)
    deadline = time.monotonic() + PATIENCE_S
    while pool.stats().refused < num_late and time.monotonic() < deadline:
        assert pool.collect(0.05) == []
    assert pool.stats().refused == num_late


def test_collect_poisonous_request_is_set_aside_and_others_survive(make_pool: MakePool):
    pool = make_pool(make_group(poison="w0/3"), attempts=2)
    pool.start()
    wave = make_wave("w0", 8, n=1)
    outcomes = run(pool, wave)
    failures = [one for one in outcomes if isinstance(one, Failure)]
    assert [(one.key.parent_id, one.reason) for one in failures] == [("w0/3", "poison")]
    assert "parent w0/3" in failures[0].message


def test_collect_restart_budget_spent_is_an_error_that_says_what_to_do(make_pool: MakePool):
    pool = make_pool(make_group(die_after=3), restarts=1, attempts=9)
    pool.start()
    wave = make_wave("w0", 20)
    pool.submit(wave)
    outcomes: list[Outcome] = []
    with pytest.raises(PoolError, match=r"1 of 1 `restarts`.*children wait.*dies after.*again"):
        for _ in range(100):
            outcomes += pool.collect(PATIENCE_S)
    assert max(Counter(one.key for one in outcomes).values()) == 1


def test_collect_engine_that_runs_dry_takes_over_from_a_slow_one(make_pool: MakePool):
    slow, fast = ScriptedConfig(step_s=0.1, max_num_seqs=8), ScriptedConfig(max_num_seqs=8)
    factory = partial(make_engine, {0: slow, 1: fast})
    pool = make_pool(GroupPlan("main", factory, 2, lease=16, weights=WEIGHTS, cpus=0.5))
    pool.start()
    wait_for_engines(pool, 2)
    run(pool, make_wave("w0", 100))
    tokens = {name: stats.tokens for name, stats in pool.stats().engines.items()}
    assert tokens["main-1"] > tokens["main-0"] > 0


def test_abandon_only_later_work_comes_back(make_pool: MakePool):
    pool = make_pool(make_group(step_s=0.01, max_num_seqs=8))
    pool.start()
    pool.submit(make_wave("w0", 20))
    pool.abandon()
    assert all(isinstance(one, Completion) for one in run(pool, make_wave("w0", 3)))


def engine_threads() -> set[threading.Thread]:
    return {one for one in threading.enumerate() if one.name.startswith("engine-")}


def test_close_twice_leaves_no_engine_behind(make_pool: MakePool):
    cut_off = engine_threads()
    pool = make_pool(make_group(replicas=2, step_s=0.01))
    pool.start()
    wait_for_engines(pool, 2)
    pool.submit(make_wave("w0", 20))
    pids = list(pool.pids().values()) if isinstance(pool, RayPool) else []
    pool.close()
    pool.close()
    assert wait_until_gone(pids) == []
    assert engine_threads() <= cut_off


class ClingingEngine(ScriptedEngine):
    """Takes its time to free its device."""

    def close(self) -> None:
        threading.Event().wait(PATIENCE_S)


def test_close_with_little_patience_leaves_engines_behind_that_take_longer(make_pool: MakePool):
    factory = partial(ClingingEngine, ScriptedConfig())
    pool = make_pool(make_group()._replace(make_engine=factory))
    pool.start()
    began = time.monotonic()
    pool.close(0.5)
    assert time.monotonic() - began < 8


@pytest.mark.ray
def test_ray_killed_process_is_replaced(ray_here: None):
    pool = RayPool([make_group(replicas=2, step_s=0.01)], LIMITS)
    pool.start()
    wait_for_engines(pool, 2)
    wave = make_wave("w0", 60)
    pool.submit(wave)
    outcomes = collect(pool, 1)
    os.kill(pool.pids()["main-0"], signal.SIGKILL)
    outcomes += collect(pool, len(keys_of(wave)) - len(outcomes))
    assert Counter(one.key for one in outcomes) == Counter(keys_of(wave))
    assert (pool.stats().restarts, pool.stats().machine_restarts) == (0, 1)
    pool.close()


OWN_RAY = """
import signal, sys
sys.path.insert(0, {tests!r})
from test_pool import LIMITS, RayPool, make_group, make_wave, run
signal.signal(signal.SIGTERM, heard := lambda number, frame: None)
pool = RayPool([make_group(replicas=2)], LIMITS)
pool.start()
assert signal.getsignal(signal.SIGTERM) is heard
run(pool, make_wave("w0", 10))
pool.close()
import ray
assert not ray.is_initialized()
"""


class ThreadsEngine(ScriptedEngine):
    """Reports how many threads its process is told to use."""

    def start(self) -> EngineReport:
        return super().start()._replace(device=os.environ["OMP_NUM_THREADS"])


@pytest.mark.ray
def test_ray_engine_may_use_as_many_threads_as_it_has_cpus(ray_here: None):
    factory = partial(ThreadsEngine, ScriptedConfig())
    pool = RayPool([make_group()._replace(make_engine=factory, cpus=3)], LIMITS)
    pool.start()
    assert [report.device for report in pool.reports()] == ["3"]
    pool.close()


@pytest.mark.slow
@pytest.mark.ray
def test_ray_started_by_the_pool_ends_with_it_and_leaves_home_and_signals_alone(tmp_path: Path):
    tests = Path(__file__).parent
    keep = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    script = OWN_RAY.format(tests=str(tests))
    with ray_folder() as folder:
        subprocess.run(
            [sys.executable, "-c", script],
            cwd=tests.parent.parent,
            env=keep | {"HOME": str(tmp_path), "RAY_TMPDIR": folder},
            check=True,
            timeout=2 * PATIENCE_S,
        )
        started = [pid for pid in _all_pids() if folder in _command(pid)]
        assert wait_until_gone(started) == []
    assert not (tmp_path / ".ray").exists()


def _all_pids() -> list[int]:
    return [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""
