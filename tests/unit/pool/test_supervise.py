"""The rules by which engines are watched and replaced, on a clock that only the test moves."""

import pytest

from pipeline.pool.pool import GroupPlan
from pipeline.pool.restarts import Killed, NodeLost, Preempted
from pipeline.pool.supervise import SupervisedPool
from schemas.errors import RETRY, EngineError, EnvironmentMismatch, NoEngine, PoolError
from schemas.prompt_hash import prompt_hash
from schemas.records import Completion, EngineReport, Failure, Request, Sampling
from tests.fake_fleet import LIMITS, Clock, FakeFleet, FakeHost, make_request, never


def make_pool(*hosts: FakeHost, replicas: int = 1, **limits) -> SupervisedPool:
    plan = GroupPlan("main", never, replicas, lease=8, weights="weights")
    clock = hosts[0].clock
    return SupervisedPool(
        [plan], LIMITS._replace(**limits), FakeFleet(clock, list(hosts)), clock=clock
    )


def test_start_engine_too_slow_to_load_is_replaced():
    clock = Clock()
    slow = FakeHost(clock, loaded_at=1e9)
    pool = make_pool(slow, FakeHost(clock))
    pool.start()
    assert slow.killed
    assert 100 <= clock.now < 102
    assert pool.stats().restarts == 1


def test_start_time_to_load_begins_with_a_place():
    clock = Clock()
    pool = make_pool(FakeHost(clock, placed_at=90, loaded_at=180))
    pool.start()
    assert pool.stats().restarts == 0


def test_start_no_place_for_any_engine_is_an_error_that_says_what_lacks():
    clock = Clock()
    pool = make_pool(*[FakeHost(clock, placed_at=1e9, loaded_at=1e9)] * 2, replicas=2)
    with pytest.raises(NoEngine, match=r"'main' in 300 s \(`wait_s`\): there are 0 GPUs") as caught:
        pool.start()
    assert 300 <= clock.now < 302
    assert caught.value.exit_code == RETRY


def test_start_place_found_within_the_wait_leaves_all_the_time_to_load():
    clock = Clock()
    pool = make_pool(FakeHost(clock, placed_at=290, loaded_at=380))
    pool.start()
    assert pool.stats().restarts == 0


def test_start_waiting_for_places_is_told_now_and_then(caplog: pytest.LogCaptureFixture):
    clock = Clock()
    hosts = FakeHost(clock), FakeHost(clock, placed_at=250, loaded_at=250)
    pool = make_pool(*hosts, replicas=2)
    pool.start()
    pool.collect(500)
    said = [record.getMessage() for record in caplog.records]
    assert said == ["1 of 2 engines of group 'main' still wait for a place: there are 0 GPUs"] * 2


def test_collect_engine_without_a_place_waits_while_others_work():
    clock = Clock()
    pool = make_pool(FakeHost(clock), FakeHost(clock, placed_at=500, loaded_at=510), replicas=2)
    pool.start()
    pool.collect(600)
    assert set(pool.stats().engines) == {"main-0", "main-1"}
    assert pool.stats().restarts == 0


def test_start_error_of_the_user_is_passed_on_at_once():
    clock = Clock()

    class Misfit(FakeHost):
        def report(self) -> EngineReport | None:
            raise EnvironmentMismatch("two vllm are installed")

    pool = make_pool(Misfit(clock))
    with pytest.raises(EnvironmentMismatch):
        pool.start()


def test_collect_engine_that_stands_still_with_work_is_replaced():
    clock = Clock()
    stuck = FakeHost(clock)
    pool = make_pool(stuck, FakeHost(clock, answers=True))
    pool.start()
    pool.submit([make_request()])
    assert [one.key.parent_id for one in pool.collect(60)] == ["p"]
    assert stuck.killed
    assert 30 <= clock.now < 32


def test_collect_engine_that_advances_is_not_replaced_however_slow():
    clock = Clock()
    pool = make_pool(FakeHost(clock, advances=True))
    pool.start()
    pool.submit([make_request()])
    assert pool.collect(1000) == []
    assert pool.stats().restarts == 0


def test_collect_idle_engine_is_not_replaced():
    clock = Clock()
    pool = make_pool(FakeHost(clock, answers=True))
    pool.start()
    pool.collect(1000)
    pool.submit([make_request()])
    assert len(pool.collect(10)) == 1
    assert pool.stats().restarts == 0


def test_collect_time_in_which_nobody_looked_is_not_counted():
    clock = Clock()
    pool = make_pool(FakeHost(clock))
    pool.start()
    pool.submit([make_request()])
    for _ in range(10):
        clock.now += 1000
        pool.collect(0.25)
    assert pool.stats().restarts == 0


def run_one(pool: SupervisedPool) -> Completion | Failure:
    """The outcome of one child."""
    pool.start()
    pool.submit([make_request()])
    (outcome,) = pool.collect(100)
    return outcome


def counts(pool: SupervisedPool) -> tuple[int, int]:
    stats = pool.stats()
    return stats.restarts, stats.machine_restarts


def test_collect_preempted_engine_costs_neither_budget_nor_attempts():
    clock = Clock()
    taken = FakeHost(clock, dies_of=Preempted("its node is drained"))
    healthy = FakeHost(clock, answers=True)
    pool = make_pool(taken, healthy, restarts=0, machine_restarts=0, attempts=1)
    assert isinstance(run_one(pool), Completion)
    assert counts(pool) == (0, 0)
    assert pool.stats().requeued == 1


def test_collect_lost_node_costs_a_machine_restart_and_blames_nobody():
    clock = Clock()
    hosts = FakeHost(clock, dies_of=NodeLost("its node is gone")), FakeHost(clock, answers=True)
    pool = make_pool(*hosts, restarts=0, attempts=1)
    assert isinstance(run_one(pool), Completion)
    assert counts(pool) == (0, 1)


def test_collect_killed_process_costs_a_machine_restart_and_blames_its_children():
    clock = Clock()
    killed = [FakeHost(clock, dies_of=Killed("its process is gone")) for _ in range(2)]
    pool = make_pool(*killed, FakeHost(clock, answers=True), restarts=0, attempts=2)
    outcome = run_one(pool)
    assert isinstance(outcome, Failure)
    assert outcome.reason == "poison"
    assert counts(pool) == (0, 2)


def test_collect_raising_engine_costs_a_restart_whatever_is_left_for_machines():
    clock = Clock()
    broken = [FakeHost(clock, dies_of=EngineError("no power")) for _ in range(2)]
    pool = make_pool(*broken, restarts=1, attempts=9)
    with pytest.raises(PoolError, match=r"1 of 1 `restarts` and 0 of 5 `machine_restarts`") as e:
        run_one(pool)
    assert not isinstance(e.value, NoEngine)


def test_collect_machines_lost_too_often_is_no_failure_of_the_work():
    clock = Clock()
    lost = [FakeHost(clock, dies_of=NodeLost("its node is gone")) for _ in range(2)]
    pool = make_pool(*lost, machine_restarts=1)
    with pytest.raises(NoEngine, match=r"1 of 1 `machine_restarts`.*1 children.*node is gone"):
        run_one(pool)


def test_start_process_killed_before_any_engine_loaded_counts_as_the_works():
    clock = Clock()
    never = float("inf")
    hosts = [FakeHost(clock, loaded_at=never, dies_of=Killed("SIGKILL")) for _ in range(3)]
    pool = make_pool(*hosts)
    with pytest.raises(EngineError, match=r"2 of 2 `restarts` and 0 of 5"):
        pool.start()


def test_collect_all_engines_lost_and_no_place_left_waits_and_then_gives_up():
    clock = Clock()
    taken = FakeHost(clock, dies_of=Preempted("its node is drained"))
    pool = make_pool(taken, FakeHost(clock, placed_at=1e9, loaded_at=1e9))
    with pytest.raises(NoEngine, match=r"there are 0 GPUs; 1 children wait.*same command again"):
        pool.start()
        pool.submit([make_request()])
        pool.collect(1000)
    assert 300 <= clock.now < 302


def test_collect_engines_come_back_within_the_wait():
    clock = Clock()
    taken = FakeHost(clock, dies_of=Preempted("its node is drained"))
    pool = make_pool(taken, FakeHost(clock, placed_at=250, loaded_at=340, answers=True))
    pool.start()
    pool.submit([make_request()])
    assert isinstance(pool.collect(400)[0], Completion)


def test_collect_waiting_time_in_which_nobody_looked_is_not_counted():
    clock = Clock()
    taken = FakeHost(clock, dies_of=Preempted("its node is drained"))
    pool = make_pool(taken, FakeHost(clock, placed_at=1e9, loaded_at=1e9))
    pool.start()
    pool.submit([make_request()])
    for _ in range(10):
        clock.now += 1000
        assert pool.collect(0.25) == []


def test_collect_poison_is_named_by_its_parent_and_prompt(caplog: pytest.LogCaptureFixture):
    clock = Clock()
    pool = make_pool(FakeHost(clock, dies_of=EngineError("segfault")), attempts=1, restarts=0)
    failure = run_one(pool)
    assert isinstance(failure, Failure)
    named = f"child 0 (turn) of parent p (wave w0, prompt {prompt_hash(make_request().prompt)}"
    assert named in failure.message
    assert failure.message in [record.getMessage() for record in caplog.records]


def test_collect_budget_spent_first_hands_out_what_is_ready():
    clock = Clock()
    pool = make_pool(FakeHost(clock, dies_of=EngineError("no power")), restarts=0, attempts=1)
    pool.start()
    pool.submit([make_request("p", n=12)])
    assert len(pool.collect(10)) == 8
    with pytest.raises(PoolError, match=r"4 children wait.*no power"):
        pool.collect(10)


def test_collect_budget_spent_without_open_work_is_no_error():
    clock = Clock()
    pool = make_pool(FakeHost(clock, dies_of=EngineError("no power")), restarts=0, attempts=1)
    pool.start()
    pool.submit([make_request()])
    assert len(pool.collect(10)) == 1
    assert pool.collect(1) == []


def test_submit_unknown_group_is_an_error():
    pool = make_pool(FakeHost(Clock()))
    with pytest.raises(PoolError, match="'main'"):
        pool.submit([Request("w", "p", 0, 1, make_request().prompt, Sampling(1), group="judge")])
