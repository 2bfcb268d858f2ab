"""Every child gets exactly one outcome, whatever is lost, late or doubled."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from pipeline.pool.dispatch import Dispatcher
from schemas.errors import PoolError
from schemas.records import ChildKey, Completion, EngineStats, Failure, Outcome, Request, Sampling

SAMPLING = Sampling(max_tokens=8)


def make_request(parent: str, n: int = 4, *, wave: str = "w0", first_child: int = 0) -> Request:
    prompt = np.frombuffer(parent.encode(), dtype=np.uint8).astype(np.int32)
    return Request(wave, parent, first_child, n, prompt, SAMPLING, seed=7)


def make_wave(wave: str, parents: int, n: int = 4) -> list[Request]:
    return [make_request(f"{wave}/{i}", n, wave=wave) for i in range(parents)]


def completed(key: ChildKey) -> Outcome:
    return Completion(key, np.zeros(0, dtype=np.int32), "", "stop")


def keys_of(requests: list[Request]) -> list[ChildKey]:
    return [key for request in requests for key in request.keys]


def make_dispatcher(*engines: str, lease: int = 8, attempts: int = 3) -> Dispatcher:
    dispatcher = Dispatcher(lease=lease, attempts=attempts)
    for incarnation, engine in enumerate(engines):
        dispatcher.join(engine, incarnation)
    return dispatcher


def finish(dispatcher: Dispatcher, engine: str, incarnation: int) -> list[ChildKey]:
    """Take and answer until the engine gets nothing more."""
    done: list[ChildKey] = []
    while taken := dispatcher.take(engine):
        outcomes = [completed(key) for key in keys_of(taken)]
        done += [one.key for one in dispatcher.accept(engine, incarnation, outcomes)]
    return done


def test_take_more_children_than_room_cuts_the_request():
    dispatcher = make_dispatcher("a", lease=6)
    dispatcher.submit([make_request("p", 4), make_request("q", 4)])
    first = dispatcher.take("a")
    assert [(one.parent_id, one.first_child, one.n) for one in first] == [("p", 0, 4), ("q", 0, 2)]
    assert dispatcher.take("a") == []
    dispatcher.accept("a", 0, [completed(first[0].keys[1])])
    assert [(one.first_child, one.n) for one in dispatcher.take("a")] == [(2, 1)]


def test_submit_waves_go_whole_to_the_idlest_engine():
    dispatcher = make_dispatcher("a", "b", lease=100)
    for wave in ("w0", "w1", "w2", "w3"):
        dispatcher.submit(make_wave(wave, 3))
    taken = {name: {one.wave for one in dispatcher.take(name)} for name in ("a", "b")}
    assert taken == {"a": {"w0", "w2"}, "b": {"w1", "w3"}}


def test_submit_child_wave_follows_its_parent_wave():
    dispatcher = make_dispatcher("a", "b", lease=100)
    dispatcher.submit(make_wave("000000", 3))
    dispatcher.submit(make_wave("000001", 3))
    assert len(finish(dispatcher, "a", 0) + finish(dispatcher, "b", 1)) == 24
    dispatcher.submit(make_wave("000001.0", 3))
    assert {one.wave for one in dispatcher.take("b")} == {"000001.0"}


def test_take_waves_nearest_to_the_leaves_go_first_and_others_as_they_came():
    dispatcher = make_dispatcher("a", lease=4)
    for wave in ("000000", "000001", "000000.0", "000002", "000001.0.0", "000003.0"):
        dispatcher.submit(make_wave(wave, 1))
    order = []
    while taken := dispatcher.take("a"):
        order += [one.wave for one in taken]
        dispatcher.accept("a", 0, [completed(key) for key in keys_of(taken)])
    assert order == ["000001.0.0", "000000.0", "000003.0", "000000", "000001", "000002"]


def test_submit_child_asked_for_twice_is_refused():
    dispatcher = make_dispatcher("a")
    dispatcher.submit([make_request("p")])
    with pytest.raises(PoolError, match=r"child 2 .* of parent p was submitted twice"):
        dispatcher.submit([make_request("p", 1, first_child=2)])


def test_submit_before_any_engine_is_kept_until_one_joins():
    dispatcher = make_dispatcher()
    dispatcher.submit(make_wave("w0", 2))
    dispatcher.join("a", 0)
    assert keys_of(dispatcher.take("a")) == keys_of(make_wave("w0", 2))


def test_accept_late_and_doubled_outcomes_are_refused_and_counted():
    dispatcher = make_dispatcher("a", "b")
    dispatcher.submit([make_request("p")])
    outcomes = [completed(key) for key in keys_of(dispatcher.take("a"))]
    assert dispatcher.accept("a", 9, outcomes) == []
    assert dispatcher.accept("b", 1, outcomes) == []
    assert dispatcher.accept("a", 0, outcomes + outcomes) == outcomes
    assert dispatcher.refused == 3 * len(outcomes)
    assert dispatcher.unfinished == 0


def test_lost_unfinished_children_go_to_another_engine_rejoined():
    dispatcher = make_dispatcher("a", "b", lease=6)
    dispatcher.submit([make_request("p", 6), make_request("q", 2)])
    taken = dispatcher.take("a")
    dispatcher.accept("a", 0, [completed(taken[0].keys[2])])
    dispatcher.take("a")
    assert dispatcher.lost("a") == []
    again = dispatcher.take("b")
    expected = [("p", 0, 2), ("p", 3, 3), ("q", 0, 1)]
    assert [(one.parent_id, one.first_child, one.n) for one in again] == expected
    assert dispatcher.requeued == 6


def test_lost_pieces_of_a_cut_request_are_one_request_again():
    dispatcher = make_dispatcher("a", lease=4)
    dispatcher.submit([make_request("x", 2), make_request("p", 4)])
    taken = dispatcher.take("a")
    dispatcher.accept("a", 0, [completed(key) for key in taken[0].keys])
    assert [(one.first_child, one.n) for one in dispatcher.take("a")] == [(2, 2)]
    dispatcher.lost("a")
    dispatcher.join("a", 1)
    assert [(one.first_child, one.n) for one in dispatcher.take("a")] == [(0, 4)]


def test_lost_ranges_with_other_sampling_stay_apart():
    dispatcher = make_dispatcher("a")
    whole = make_request("p", 2)
    greedy = Request("w0", "p", 2, 2, whole.prompt, Sampling(max_tokens=8, temperature=0), seed=7)
    dispatcher.submit([whole, greedy])
    dispatcher.take("a")
    dispatcher.lost("a")
    dispatcher.join("a", 1)
    assert [one.sampling for one in dispatcher.take("a")] == [whole.sampling, greedy.sampling]


def test_lost_poisonous_child_is_set_aside_and_its_companions_survive():
    dispatcher = make_dispatcher(attempts=3)
    dispatcher.submit(make_wave("w0", 2))
    poison = ChildKey("w0/0", "turn", 2)
    outcomes: list[Outcome] = []
    losses = 0
    for incarnation in range(20):
        dispatcher.join("a", incarnation)
        while taken := keys_of(dispatcher.take("a")):
            if poison in taken:
                outcomes += dispatcher.lost("a")
                losses += 1
                break
            outcomes += dispatcher.accept("a", incarnation, [completed(key) for key in taken])
        else:
            break
    assert [one.key for one in outcomes if isinstance(one, Failure)] == [poison]
    assert Counter(one.key for one in outcomes) == Counter(keys_of(make_wave("w0", 2)))
    assert losses == 3


def test_lost_children_once_from_condemnation_are_leased_alone():
    dispatcher = make_dispatcher("a", attempts=2)
    dispatcher.submit(make_wave("w0", 1))
    dispatcher.take("a")
    dispatcher.lost("a")
    dispatcher.join("a", 1)
    alone = dispatcher.take("a")
    assert len(keys_of(alone)) == 1
    assert dispatcher.take("a") == []
    dispatcher.accept("a", 1, [completed(key) for key in keys_of(alone)])
    assert len(keys_of(dispatcher.take("a"))) == 1


def test_lost_cause_found_clears_those_lost_with_it():
    dispatcher = make_dispatcher("a", attempts=2)
    dispatcher.submit(make_wave("w0", 2))
    dispatcher.take("a")
    dispatcher.lost("a")
    dispatcher.join("a", 1)
    dispatcher.take("a")
    (failure,) = dispatcher.lost("a")
    assert isinstance(failure, Failure)
    assert "parent w0/0" in failure.message
    dispatcher.join("a", 2)
    assert len(keys_of(dispatcher.take("a"))) == 7


def test_lost_without_blame_is_not_counted_against_children():
    dispatcher = make_dispatcher(attempts=1)
    dispatcher.submit(make_wave("w0", 2))
    for incarnation in range(3):
        dispatcher.join("a", incarnation)
        assert len(keys_of(dispatcher.take("a"))) == 8
        assert dispatcher.lost("a", blame=False) == []


def test_take_dry_engine_gets_whole_waves_of_the_most_loaded():
    dispatcher = make_dispatcher("a", lease=8)
    for wave in ("w0", "w1", "w2"):
        dispatcher.submit(make_wave(wave, 2))
    dispatcher.take("a")
    dispatcher.join("b", 1)
    assert keys_of(dispatcher.take("b")) == keys_of(make_wave("w2", 2))


def test_take_dry_engine_gets_half_of_a_single_wave():
    dispatcher = make_dispatcher("a", lease=8)
    dispatcher.submit(make_wave("w0", 10))
    dispatcher.take("a")
    dispatcher.join("b", 1)
    assert [one.parent_id for one in dispatcher.take("b")] == ["w0/6", "w0/7"]


def test_take_dry_engine_gets_half_of_a_single_request():
    dispatcher = make_dispatcher("a", lease=8)
    dispatcher.submit([make_request("p", 28)])
    dispatcher.take("a")
    dispatcher.join("b", 1)
    assert [(one.first_child, one.n) for one in dispatcher.take("b")] == [(18, 8)]


def test_an_engine_that_lets_children_wait_gets_as_many_to_wait_as_it_runs():
    dispatcher = make_dispatcher("a", lease=64)
    dispatcher.submit(make_wave("w0", 5))
    taken = keys_of(dispatcher.take("a"))
    assert len(taken) == 20
    dispatcher.submit(make_wave("w1", 20))
    dispatcher.heed("a", EngineStats(running=6, waiting=14))
    assert dispatcher.take("a") == []
    dispatcher.accept("a", 0, [completed(key) for key in taken[:12]])
    assert len(keys_of(dispatcher.take("a"))) == 4
    dispatcher.heed("a", EngineStats(running=12, waiting=0))
    assert len(keys_of(dispatcher.take("a"))) == 52


def test_what_a_full_engine_cannot_hold_goes_to_one_that_is_dry():
    dispatcher = make_dispatcher("a", lease=64)
    dispatcher.submit(make_wave("w0", 4))
    dispatcher.take("a")
    dispatcher.submit(make_wave("w1", 4))
    dispatcher.join("b", 1)
    assert dispatcher.take("b") == []
    dispatcher.heed("a", EngineStats(running=4, waiting=12))
    assert {one.wave for one in dispatcher.take("b")} == {"w1"}


def test_take_dry_engine_leaves_what_the_other_has_room_for():
    dispatcher = make_dispatcher("a", "b", lease=8)
    dispatcher.submit(make_wave("w0", 2))
    assert dispatcher.take("b") == []
    assert len(keys_of(dispatcher.take("a"))) == 8


def test_abandon_leaves_no_work_and_refuses_what_still_comes():
    dispatcher = make_dispatcher("a")
    dispatcher.submit(make_wave("w0", 4))
    late = keys_of(dispatcher.take("a"))
    dispatcher.abandon()
    assert dispatcher.unfinished == 0
    assert dispatcher.accept("a", 0, [completed(key) for key in late]) == []
    assert dispatcher.take("a") == []


def test_abandon_same_child_again_waits_for_the_abandoned_outcome():
    dispatcher = make_dispatcher("a")
    dispatcher.submit([make_request("p", 1)])
    (old,) = keys_of(dispatcher.take("a"))
    dispatcher.abandon()
    dispatcher.submit([make_request("p", 1)])
    assert dispatcher.take("a") == []
    assert dispatcher.accept("a", 0, [completed(old)]) == []
    assert keys_of(dispatcher.take("a")) == [old]


@given(st.lists(st.integers(1, 6), min_size=1, max_size=12), st.integers(1, 4))
def test_take_without_losses_or_overload_keeps_each_wave_on_one_engine(sizes, engines):
    names = [f"e{i}" for i in range(engines)]
    dispatcher = make_dispatcher(*names, lease=1000)
    for number, parents in enumerate(sizes):
        dispatcher.submit(make_wave(f"w{number}", parents))
    homes: dict[str, set[str]] = {}
    for name in names:
        for request in dispatcher.take(name):
            homes.setdefault(request.wave, set()).add(name)
    assert [len(home) for home in homes.values()] == [1] * len(sizes)


class Schedules(RuleBasedStateMachine):
    """Random schedules of everything that can happen to a group."""

    engines = st.sampled_from(["a", "b", "c"])

    @initialize(lease=st.integers(1, 9), attempts=st.integers(1, 4))
    def begin(self, lease: int, attempts: int) -> None:
        self.lease = lease
        self.dispatcher = Dispatcher(lease=lease, attempts=attempts)
        self.attempts = attempts
        self.live: dict[str, int] = {}
        self.at: dict[str, list[ChildKey]] = {}
        self.past: list[tuple[str, int, ChildKey]] = []
        self.asked: set[ChildKey] = set()
        self.done: Counter[ChildKey] = Counter()
        self.losses: Counter[ChildKey] = Counter()
        self.incarnations = 0
        self.waves = 0

    @rule(engine=engines)
    def join(self, engine: str) -> None:
        if engine not in self.live:
            self.live[engine] = self.incarnations
            self.at[engine] = []
            self.dispatcher.join(engine, self.incarnations)
            self.incarnations += 1

    @rule(sizes=st.lists(st.integers(1, 12), min_size=1, max_size=4))
    def submit(self, sizes: list[int]) -> None:
        wave = f"w{self.waves}"
        self.waves += 1
        wanted = [make_request(f"{wave}/{i}", n, wave=wave) for i, n in enumerate(sizes)]
        self.asked.update(keys_of(wanted))
        self.dispatcher.submit(wanted)

    @precondition(lambda self: self.live)
    @rule(data=st.data())
    def take(self, data: st.DataObject) -> None:
        engine = data.draw(st.sampled_from(sorted(self.live)))
        self.at[engine] += keys_of(self.dispatcher.take(engine))

    @precondition(lambda self: any(self.at.get(engine) for engine in self.live))
    @rule(data=st.data(), doubled=st.booleans())
    def answer(self, data: st.DataObject, doubled: bool) -> None:
        engine = data.draw(st.sampled_from(sorted(e for e in self.live if self.at[e])))
        keys = data.draw(st.lists(st.sampled_from(self.at[engine]), min_size=1, unique=True))
        self.at[engine] = [key for key in self.at[engine] if key not in keys]
        self.past += [(engine, self.live[engine], key) for key in keys]
        self.receive(engine, self.live[engine], keys * (2 if doubled else 1))

    @precondition(lambda self: self.past)
    @rule(data=st.data())
    def answer_late(self, data: st.DataObject) -> None:
        engine, incarnation, key = data.draw(st.sampled_from(self.past))
        self.receive(engine, incarnation, [key])

    @precondition(lambda self: self.live)
    @rule(data=st.data(), blame=st.booleans())
    def lose(self, data: st.DataObject, blame: bool) -> None:
        engine = data.draw(st.sampled_from(sorted(self.live)))
        held = self.at.pop(engine)
        incarnation = self.live.pop(engine)
        self.past += [(engine, incarnation, key) for key in held]
        self.losses.update(held if blame else [])
        for failure in self.dispatcher.lost(engine, blame=blame):
            assert isinstance(failure, Failure)
            assert self.losses[failure.key] >= self.attempts
            self.done[failure.key] += 1

    @rule()
    def abandon(self) -> None:
        self.dispatcher.abandon()
        self.asked = set(self.done)

    def receive(self, engine: str, incarnation: int, keys: list[ChildKey]) -> None:
        outcomes = [completed(key) for key in keys]
        self.done.update(one.key for one in self.dispatcher.accept(engine, incarnation, outcomes))

    @invariant()
    def nothing_is_invented_or_doubled(self) -> None:
        assert set(self.done) <= self.asked
        assert all(count == 1 for count in self.done.values())
        assert self.dispatcher.unfinished == len(self.asked) - len(self.done)

    @invariant()
    def no_engine_holds_more_than_its_lease(self) -> None:
        for engine in self.live:
            assert self.dispatcher.holds(engine) == len(self.at[engine]) <= self.lease

    def teardown(self) -> None:
        """Without further faults everything asked for is finished."""
        if not hasattr(self, "dispatcher"):
            return
        self.join("a")
        while sum(self.serve(engine) for engine in sorted(self.live)):
            pass
        assert set(self.done) == self.asked

    def serve(self, engine: str) -> int:
        keys = self.at[engine] + keys_of(self.dispatcher.take(engine))
        self.at[engine] = []
        self.receive(engine, self.live[engine], keys)
        return len(keys)


TestSchedules = Schedules.TestCase
TestSchedules.settings = settings(max_examples=200, stateful_step_count=40, deadline=None)
