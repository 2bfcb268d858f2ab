"""How many engines there are: which are asked for first, which load, and which are let go."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.pool.pool import GroupPlan
from pipeline.pool.restarts import Killed, NodeLost, Preempted
from pipeline.pool.supervise import SupervisedPool
from schemas.errors import EngineError, NoEngine
from tests.fake_fleet import LIMITS, Clock, Machines, make_request, never

IDLE = LIMITS._replace(idle_s=60, yield_s=60)


def group(name: str = "main", least: int = 1, most: int | None = None, **more) -> GroupPlan:
    return GroupPlan(name, never, least, **{"lease": 1, "weights": "weights", "gpus": 1, **more})


def pool_on(machines: Machines, *groups: GroupPlan, **limits) -> SupervisedPool:
    return SupervisedPool(groups, IDLE._replace(**limits), machines, clock=machines.clock)


def ranged(least: int, most: int, name: str = "main", **more) -> GroupPlan:
    return group(name, least, **more)._replace(most=most)


def busy(machines: Machines) -> None:
    """Engines that are there take work and do not finish it, though they advance."""
    for one in machines.here():
        one.answers, one.advances = False, True


def test_start_least_of_each_group_come_before_what_is_above_any():
    machines = Machines(Clock(), gpus=3)
    pool_on(machines, ranged(1, 64), ranged(2, 8, "judge")).start()
    assert [len(machines.here(name)) for name in ("main", "judge")] == [1, 2]


def test_collect_all_that_may_be_are_asked_for_once_each_least_has_a_place():
    machines = Machines(Clock(), gpus=3)
    pool = pool_on(machines, ranged(1, 64), group("judge"))
    pool.start()
    pool.collect(1)
    assert len(machines.here("main")) == 2
    assert len(machines.asking("main")) == pool.stats().waiting == 62


def test_start_nothing_above_the_least_is_asked_for_while_one_of_these_has_no_place():
    machines = Machines(Clock(), gpus=2)
    pool = pool_on(machines, ranged(1, 8), group("judge", 2))
    pool.start()
    pool.collect(10)
    assert (len(machines.tenants), len(machines.asking("judge"))) == (3, 1)


def test_start_few_places_are_shared_between_groups():
    machines = Machines(Clock(), gpus=6)
    pool_on(machines, group("a", 8), group("b", 8)).start()
    assert [len(machines.here(name)) for name in "ab"] == [3, 3]


def test_start_as_many_load_at_once_as_are_allowed():
    machines = Machines(Clock(), gpus=16, load_s=10)
    pool = pool_on(machines, group(least=16, loading=4))
    pool.start()
    pool.collect(100)
    assert len(pool.stats().engines) == 16
    assert machines.most_loading == 4


def test_start_time_to_load_begins_with_the_turn_to_load():
    machines = Machines(Clock(), gpus=4, load_s=90)
    pool = pool_on(machines, group(least=4, loading=1))
    pool.start()
    pool.collect(400)
    assert len(pool.stats().engines) == 4
    assert pool.stats().restarts == 0


def test_collect_a_place_that_comes_later_is_taken_and_given_work():
    machines = Machines(Clock(), gpus=1, load_s=5)
    pool = pool_on(machines, ranged(1, 2))
    pool.start()
    busy(machines)
    pool.submit([make_request(n=4)])
    machines.gpus = 2
    assert len(pool.collect(20)) > 0
    assert set(pool.stats().engines) == {"main-0", "main-1"}


def test_collect_engine_above_the_least_lost_with_its_node_costs_nothing():
    machines = Machines(Clock(), gpus=2)
    pool = pool_on(machines, ranged(1, 2), machine_restarts=0)
    pool.start()
    for _ in range(5):
        pool.collect(2)
        machines.gpus = 1
        machines.here()[-1].dies_of = NodeLost("its node is gone")
        pool.collect(2)
        machines.gpus = 2
    pool.collect(2)
    assert len(pool.stats().engines) == 2
    assert pool.stats().machine_restarts == 0


@pytest.mark.parametrize("error", [Killed("its process is gone"), EngineError("no power")])
def test_collect_engine_above_the_least_that_fails_costs_what_any_does(error: EngineError):
    machines = Machines(Clock(), gpus=2)
    pool = pool_on(machines, ranged(1, 2))
    pool.start()
    pool.collect(2)
    machines.here()[-1].dies_of = error
    pool.collect(2)
    assert pool.stats().restarts + pool.stats().machine_restarts == 1


def test_collect_one_of_the_least_lost_takes_the_place_that_others_wait_for():
    machines = Machines(Clock(), gpus=3)
    pool = pool_on(machines, ranged(1, 9), group("judge"))
    pool.start()
    pool.collect(1)
    machines.here("judge")[0].dies_of = Preempted("its node is drained")
    pool.collect(1)
    assert len(machines.here("judge")) == 1
    assert len(machines.here("main")) == 2
    assert len(machines.asking("main")) == 7


def test_collect_group_without_a_place_for_long_gets_one_that_is_above_anothers_least():
    machines = Machines(Clock(), gpus=4)
    pool = pool_on(machines, ranged(1, 9), group("judge"))
    pool.start()
    busy(machines)
    pool.submit([make_request(n=20)])
    pool.collect(1)
    machines.gpus = 3
    machines.here("judge")[0].dies_of = NodeLost("its node is gone")
    pool.collect(59)
    assert len(machines.here("judge")) == 0
    pool.collect(5)
    assert len(machines.here("judge")) == 1
    assert len(machines.here("main")) == 2


def test_collect_group_without_a_place_takes_none_of_anothers_least():
    machines = Machines(Clock(), gpus=4)
    pool = pool_on(machines, group("main", 3), group("judge"))
    pool.start()
    pool.collect(1)
    machines.gpus = 3
    machines.here("judge")[0].dies_of = NodeLost("its node is gone")
    pool.submit([make_request(group="judge")])
    with pytest.raises(NoEngine, match="judge"):
        pool.collect(400)
    assert len(machines.here("main")) == 3


def test_collect_idle_engines_above_the_least_are_let_go_at_the_tail():
    machines = Machines(Clock(), gpus=4)
    pool = pool_on(machines, ranged(1, 8))
    pool.start()
    busy(machines)
    pool.submit([make_request(n=1)])
    pool.collect(50)
    assert len(machines.here()) == 4
    pool.collect(20)
    (left,) = machines.here()
    assert left.sent
    assert machines.asking() == []


def test_collect_engines_that_took_long_to_load_are_let_go_after_as_long():
    machines = Machines(Clock(), gpus=2, load_s=95)
    pool = pool_on(machines, group(least=1)._replace(most=2))
    pool.start()
    pool.collect(90)
    assert len(pool.stats().engines) == 2
    pool.collect(10)
    assert len(pool.stats().engines) == 1


def test_submit_engines_that_were_let_go_are_asked_for_again():
    machines = Machines(Clock(), gpus=4)
    pool = pool_on(machines, ranged(1, 8))
    pool.start()
    pool.collect(100)
    assert (len(machines.here()), machines.asking()) == (1, [])
    busy(machines)
    pool.submit([make_request(n=20)])
    pool.collect(2)
    assert len(machines.here()) == 4


def test_stats_count_gpus_while_they_are_held_and_only_then():
    machines = Machines(Clock(), gpus=0, load_s=50)
    pool = pool_on(machines, ranged(1, 2, gpus=2))
    machines.clock.now = 1000.0
    freed_at = 1100.0

    class Late(Machines):
        def settle(self) -> None:
            self.gpus = 2 if self.clock.now >= freed_at else 0
            super().settle()

    machines.__class__ = Late
    pool.start()
    assert machines.clock.now == pytest.approx(1150, abs=2)
    assert pool.stats().gpus == 2
    assert pool.stats().gpu_s == pytest.approx(2 * 50, abs=2)
    machines.clock.now += 100
    assert pool.stats().gpu_s == pytest.approx(2 * 150, abs=2)
    pool.close()
    machines.clock.now += 100
    assert pool.stats().gpus == 0
    assert pool.stats().gpu_s == pytest.approx(2 * 150, abs=2)


@given(st.data())
def test_collect_whatever_comes_and_goes_every_child_has_one_outcome(data: st.DataObject):
    machines = Machines(Clock(), gpus=4, load_s=data.draw(st.sampled_from([0, 1, 7])))
    plans = ranged(2, 6, loading=data.draw(st.integers(1, 3))), group("judge")
    pool = pool_on(machines, *plans, machine_restarts=10**6, attempts=10**6, wait_s=10**6)
    pool.start()
    asked, answered = 0, 0
    for number in range(data.draw(st.integers(1, 12))):
        machines.gpus = data.draw(st.integers(0, 12))
        for one in machines.here():
            if sum(t.gpus for t in machines.here() if not t.dies_of) > machines.gpus:
                one.dies_of = NodeLost("its node is gone")
        name, n = data.draw(st.sampled_from(["main", "judge"])), data.draw(st.integers(1, 9))
        pool.submit([make_request(f"{name}-{number}", n=n, group=name)])
        asked += n
        answered += len(pool.collect(data.draw(st.integers(0, 90))))
        above = len(machines.here("judge")) + len(machines.asking("judge"))
        assert above == 1
        assert len(machines.here("main")) + len(machines.asking("main")) <= 6
        assert machines.most_loading <= plans[0].loading + 1
    machines.gpus = 4
    deadline = machines.clock.now + 3600
    while answered < asked and machines.clock.now < deadline:
        answered += len(pool.collect(60))
    assert answered == asked
