"""Asking ahead changes when children are asked for, and nothing else."""

from collections.abc import Sequence
from dataclasses import replace
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.ahead import Ahead
from pipeline.flight import Flight, OpenWave
from pipeline.tree.expand import attach, expand
from pipeline.tree.frontier import Parent, frontier_of
from schemas.manifest import Counts
from schemas.records import ChildKey, Completion, Outcome, Request, to_ids
from schemas.wave_id import WaveId
from tests.unit.samples import answer, by_key, make_run, make_spec, plant_some

RUN = make_run(make_spec((3, 2, 2), trees=2))
TRUNCATED = [{"filter": "truncated"}]


class Slots:
    """Answers in any order, a few at a time, as a pool does."""

    def __init__(self, random: Random, **settings: float) -> None:
        self._random, self._settings = random, settings
        self._outcomes: dict[ChildKey, Outcome] = {}
        self.asked: list[Request] = []
        self.tokens = 0

    def submit(self, requests: Sequence[Request]) -> None:
        assert requests
        found = by_key(answer(requests, **self._settings))
        assert self._outcomes.keys().isdisjoint(found)
        self._outcomes |= found
        self.asked += requests

    def collect(self, timeout_s: float) -> list[Outcome]:
        count = self._random.randint(0, 3)
        keys = self._random.sample(sorted(self._outcomes), min(count, len(self._outcomes)))
        outcomes = [self._outcomes.pop(key) for key in keys]
        self.tokens += sum(len(o.token_ids) for o in outcomes if isinstance(o, Completion))
        return outcomes


class Growth:
    """A loop without curation: waves of one parent, whose turns are kept by the toss of a coin.

    Now and then another driver commits a wave first, with other texts.
    """

    def __init__(self, seed: int, kept: float, theirs: float, room: int) -> None:
        self.random, self.kept, self.theirs, self.room = Random(seed), kept, theirs, room
        self.pool = Slots(self.random, fail_share=0.1)
        self.ahead, self.flight = Ahead(RUN, self.pool, 0.5), Flight()
        self.ready = [(WaveId((p.tree_id,)), p) for p in plant_some(RUN, range(2))]
        self.outcomes: dict[ChildKey, Outcome] = {}
        self.requests: list[Request] = []
        self.unused = 0

    def run(self) -> None:
        for _ in range(10_000):
            if not (self.ready or self.flight.waves or self.ahead.outstanding):
                return
            if self.ready and self.random.random() < 0.5:
                self.open(*self.ready.pop())
            if self.random.random() < 0.7:
                self.ahead.ask(self.random.randint(0, self.room))
            for opened in self.flight.settle(self.ahead.collect(0.0)):
                self.commit(opened)
            self.unused += self.ahead.take_unused_tokens()
        raise AssertionError("something is waited for that was never asked")

    def open(self, wave: WaveId, parent: Parent) -> None:
        rule = RUN.recipe.rule(RUN.spec, wave.level)
        requests = expand(RUN, wave.name, [parent], rule)
        opened = OpenWave(wave, rule, [parent], requests, 0.0)
        self.flight.open(opened)
        self.ahead.open(opened)
        self.requests += requests

    def commit(self, opened: OpenWave) -> None:
        rule = opened.rule
        rows = attach(RUN, opened.parents, opened.requests, opened.outcomes, rule)
        opened.candidates = rows
        kept = [row for row in rows if not row.failure and self.random.random() < self.kept]
        if self.random.random() < self.theirs:
            kept = [replace(row, text="else", token_ids=to_ids(list(b"else"))) for row in kept]
        frontier = frontier_of(RUN, opened.parents, kept)
        counts = Counts(asked=len(rows), kept=len(kept))
        self.ahead.close(opened, frontier, counts)
        self.flight.close(opened)
        self.outcomes |= opened.outcomes
        self.ready += [(opened.wave.block(i), parent) for i, parent in enumerate(frontier)]


def tokens(outcomes) -> int:
    return sum(len(o.token_ids) for o in outcomes if isinstance(o, Completion))


@given(
    st.integers(0, 2**32),
    st.sampled_from([0.3, 0.8, 1.0]),
    st.sampled_from([0.0, 0.2]),
    st.integers(0, 40),
)
def test_a_wave_gets_the_outcomes_of_its_own_requests_whatever_was_asked_ahead(
    seed, kept, theirs, room
):
    growth = Growth(seed, kept, theirs, room)
    growth.run()
    said = by_key(answer(growth.requests, fail_share=0.1))
    assert said.keys() == growth.outcomes.keys()
    for key, outcome in said.items():
        found = growth.outcomes[key]
        assert type(found) is type(outcome)
        assert getattr(found, "text", "") == getattr(outcome, "text", "")
    asked = {request.parent_id: request.prompt.tolist() for request in growth.pool.asked}
    assert all(asked[request.parent_id] == request.prompt.tolist() for request in growth.requests)
    assert growth.pool.tokens == tokens(growth.outcomes.values()) + growth.unused


def grown_ahead(
    run, *, seed: int = 0, room: int = 100, **settings
) -> tuple[Ahead, OpenWave, Slots]:
    """A first wave of which nothing is committed, and what was asked ahead for its turns."""
    (parent,) = plant_some(run, [0])
    rule = run.recipe.rule(run.spec, 1)
    opened = OpenWave(WaveId((0,)), rule, [parent], expand(run, "000000", [parent], rule), 0.0)
    pool = Slots(Random(seed), **settings)
    ahead = Ahead(run, pool, 0.5)
    ahead.open(opened)
    for _ in range(50):
        opened.outcomes |= by_key(ahead.collect(0.0))
        ahead.ask(room)
    return ahead, opened, pool


def test_all_that_a_tree_allows_is_asked_before_its_first_wave_is_committed():
    ahead, opened, pool = grown_ahead(RUN)
    assert len(opened.outcomes) == 3
    assert sum(request.n for request in pool.asked) == 3 + 6 + 12
    assert ahead.outstanding == 0


def test_no_more_is_asked_than_there_is_room_for():
    _, _, pool = grown_ahead(RUN, room=0)
    assert [request.n for request in pool.asked] == [3]


@pytest.mark.parametrize(("oversample", "asked"), [(1.0, 3 + 6 + 12), (1.4, 5 + 15), (3.0, 9)])
def test_children_of_turns_that_are_mostly_dropped_are_not_asked_ahead(oversample, asked):
    levels = [
        {"role": role, "fanout": fanout, "oversample": oversample, "max_tokens": 200}
        for role, fanout in (("user", 3), ("assistant", 2), ("user", 2))
    ]
    _, _, pool = grown_ahead(make_run(make_spec(levels=levels)))
    assert sum(request.n for request in pool.asked) == asked


def test_what_the_run_keeps_decides_what_is_asked_ahead_later():
    ahead, opened, pool = grown_ahead(RUN, room=0)
    opened.candidates = attach(RUN, opened.parents, opened.requests, opened.outcomes, opened.rule)
    ahead.close(opened, [], Counts(asked=100, kept=20, dropped={"empty": 80}))
    (parent,) = plant_some(RUN, [1])
    requests = expand(RUN, "000001", [parent], opened.rule)
    ahead.open(OpenWave(WaveId((1,)), opened.rule, [parent], requests, 0.0))
    for _ in range(50):
        ahead.collect(0.0)
        ahead.ask(100)
    assert sum(request.n for request in pool.asked) == 3 + 3


@pytest.mark.parametrize(("filters", "asked"), [([], 3 + 6 + 12), (TRUNCATED, 3)])
def test_a_turn_that_a_filter_is_sure_to_drop_has_no_children_ahead(filters, asked):
    run = make_run(make_spec((3, 2, 2), curation={"filters": filters}))
    _, _, pool = grown_ahead(run, truncate_share=1.0)
    assert sum(request.n for request in pool.asked) == asked
