"""The agenda and the ledger together are the plan, whenever a driver stops."""

from hypothesis import given
from hypothesis import strategies as st

from pipeline.plan.agenda import Agenda, planned_waves
from pipeline.plan.plan import make_plan, parents_per_wave
from pipeline.recipes import RECIPES
from pipeline.storage.names import check_name
from schemas.generation_spec import MAX_LEVELS
from schemas.wave_id import WaveId
from tests.unit.samples import agenda_after, make_spec

RECIPE = RECIPES["tg-sft"]
SPEC = make_spec((2, 2, 2), trees=4, bounds={"trees_per_cohort": 1, "candidates_per_wave": 4})
PLAN = make_plan(SPEC, RECIPE, 4)


def frontier_of(wave, seed):
    """How many nodes a wave leaves to expand: any number, but the same on every attempt."""
    return 0 if wave.level == 3 else hash((wave.path, seed)) % 6


def work(agenda, seed, steps=10**6):
    done = []
    while len(done) < steps and (wave := agenda.next()) is not None:
        done.append(wave)
        agenda.commit(wave, frontier_of(wave, seed))
    return done


def ledger_of(waves, seed):
    return {wave.name: frontier_of(wave, seed) for wave in waves}


@given(st.integers(), st.integers(0, 30))
def test_a_resumed_agenda_is_what_was_left(seed, steps):
    whole = work(agenda_after({}, SPEC, RECIPE, PLAN), seed)
    done = work(agenda_after({}, SPEC, RECIPE, PLAN), seed, steps)
    left = work(agenda_after(ledger_of(done, seed), SPEC, RECIPE, PLAN), seed)
    assert len(set(whole)) == len(whole)
    assert done + left == whole


@given(st.integers(), st.data())
def test_an_agenda_resumes_from_any_set_of_committed_waves(seed, data):
    whole = work(agenda_after({}, SPEC, RECIPE, PLAN), seed)
    done = []
    for wave in whole:
        if (wave.parent is None or wave.parent in done) and data.draw(st.booleans()):
            done.append(wave)
    left = work(agenda_after(ledger_of(done, seed), SPEC, RECIPE, PLAN), seed)
    assert sorted(done + left) == sorted(whole)
    for index, wave in enumerate(left):
        assert wave.parent is None or wave.parent in [*done, *left[:index]]


@given(st.integers(), st.data())
def test_the_oldest_cohort_comes_first_and_in_it_the_deepest_wave(seed, data):
    agenda, ready, admitted = agenda_after({}, SPEC, RECIPE, PLAN), [], 0
    opened = []
    while (wave := agenda.next()) is not None:
        if wave.level == 1:
            assert not ready and wave.cohort == admitted
            admitted += 1
        else:
            assert wave == min(ready, key=lambda w: (w.cohort, -w.level, w))
            ready.remove(wave)
        opened.append(wave)
        for _ in range(data.draw(st.integers(0, len(opened)))):
            finished = opened.pop(0)
            count = frontier_of(finished, seed)
            agenda.commit(finished, count)
            ready += [finished.block(i) for i in range(-(-count // 2))]


@given(st.integers(), st.integers(0, 30))
def test_planned_waves_say_which_are_committed(seed, steps):
    done = work(agenda_after({}, SPEC, RECIPE, PLAN), seed, steps)
    listed = list(planned_waves(SPEC, RECIPE, PLAN, ledger_of(done, seed)))
    waves = [wave for wave, _ in listed]
    assert sorted(wave for wave, committed in listed if committed) == sorted(done)
    assert len(set(waves)) == len(waves)
    assert waves == sorted(waves)
    frontier = {w for w, committed in listed if not committed}
    assert frontier <= set(work(agenda_after(ledger_of(done, seed), SPEC, RECIPE, PLAN), seed))


@given(
    widening=st.dictionaries(st.integers(0, MAX_LEVELS - 1), st.sampled_from((10, 11, 100))),
    asking=st.sampled_from((1.0, 11.0, 64.0)),
    candidates=st.sampled_from((1, 11, 1001, 2048, 2**31 - 1)),
)
def test_the_deepest_wave_has_a_name_that_file_systems_take(widening, asking, candidates):
    """Whatever multiplies: each level's last whole wave, where all is kept."""
    fanouts, nodes = [1] * MAX_LEVELS, 1
    for level, fanout in widening.items():
        if nodes * fanout * 64 <= 10**14:
            fanouts[level], nodes = fanout, nodes * fanout
    spec = make_spec(
        fanouts,
        bounds={"trees_per_cohort": 2**31 - 1, "candidates_per_wave": candidates},
        levels=[
            {
                "role": ("user", "assistant")[index % 2],
                "fanout": fanout,
                "oversample": asking if index in widening else 1,
                "max_tokens": 1,
            }
            for index, fanout in enumerate(fanouts)
        ],
    )
    wave, parents = WaveId((2**31 - 2,)), parents_per_wave(spec, RECIPE, 1)
    for level in range(1, MAX_LEVELS):
        frontier, per_wave = parents * fanouts[level - 1], parents_per_wave(spec, RECIPE, level + 1)
        wave = wave.block(-(-frontier // per_wave) - 1)
        parents = min(frontier, per_wave)
    assert wave.level == MAX_LEVELS
    check_name(f"nodes/{wave.name}-01234567.parquet")
    check_name(f"ledger/{wave.name}-{2**31 - 1}.json")


class Board:
    """Claims that all drivers see at once."""

    def __init__(self):
        self.holders = {}


class Among:
    """The cohorts of one driver among several."""

    def __init__(self, board, me):
        self.board, self.me = board, me

    @property
    def reach(self):
        return 1 + max(self.board.holders, default=-1)

    def take(self, cohort):
        return self.board.holders.setdefault(cohort, self.me) == self.me

    def holds(self, cohort):
        return self.board.holders.get(cohort) == self.me


def crew(count):
    board = Board()
    shares = [Among(board, me) for me in range(count)]
    return board, [Agenda(SPEC, RECIPE, PLAN, share, drivers=count) for share in shares]


class Crew:
    """Drivers that open waves, finish them, and hear of each other's when they like."""

    def __init__(self, count, seed):
        self.board, self.agendas = crew(count)
        self.seed, self.done = seed, []
        self.flying = [[] for _ in self.agendas]
        self.unheard = [[] for _ in self.agendas]

    def step(self, me):
        """Open a wave; where none is to be opened, finish one; where none is, hear of others."""
        agenda = self.agendas[me]
        if (wave := agenda.next()) is not None:
            self.flying[me].append(wave)
        elif self.flying[me]:
            self.finish(me, self.flying[me].pop())
        else:
            assert agenda.is_done or agenda.awaited or self.unheard[me]
            self.hear(me)

    def finish(self, me, wave):
        self.done.append(wave)
        self.agendas[me].commit(wave, frontier_of(wave, self.seed))
        for other, unheard in enumerate(self.unheard):
            if other != me:
                unheard.append(wave)

    def hear(self, me):
        for wave in self.unheard[me]:
            self.agendas[me].commit(wave, frontier_of(wave, self.seed))
        self.unheard[me].clear()


@given(st.integers(), st.integers(1, 4), st.data())
def test_drivers_that_share_a_run_make_each_wave_once_and_all_of_them(seed, count, data):
    drivers = Crew(count, seed)
    while not all(agenda.is_done for agenda in drivers.agendas):
        me = data.draw(st.integers(0, count - 1))
        drivers.step(me)
        if data.draw(st.booleans()):
            drivers.hear(me)
    assert sorted(drivers.done) == sorted(work(agenda_after({}, SPEC, RECIPE, PLAN), seed))
    assert set(drivers.board.holders) == set(range(PLAN.cohorts))


def test_driver_holds_no_more_than_its_part_of_the_cohorts_that_are_left():
    _, [one, two] = crew(2)
    opened = [one.next(), one.next()]
    assert opened == [WaveId((0,)), WaveId((1,))]
    assert not one.has_next()
    assert [two.next(), two.next(), two.next()] == [WaveId((2,)), WaveId((3,)), None]
    for wave in opened:
        one.commit(wave, 0)
    assert not one.has_next()
    assert one.awaited == [2, 3]


def test_cohort_that_is_lost_is_left_where_it_is_and_can_be_taken_again():
    board, [agenda] = crew(1)
    first = agenda.next()
    assert first == WaveId((0,))
    agenda.commit(first, 4)
    flying = agenda.next()
    assert flying == first.block(0)
    board.holders = dict.fromkeys(range(PLAN.cohorts), "rival")
    assert not agenda.has_next()
    assert agenda.awaited == [0, 1, 2, 3]
    agenda.commit(flying, 2)
    del board.holders[0]
    left = [agenda.next(), agenda.next()]
    assert left == [flying.block(0), first.block(1)]


def test_wave_that_another_driver_committed_is_not_handed_out():
    _, [agenda] = crew(1)
    first = agenda.next()
    assert first is not None
    agenda.commit(first, 4)
    assert agenda.is_waiting(first.block(0)) and agenda.is_waiting(first.block(1))
    agenda.commit(first.block(0), 0)
    assert agenda.next() == first.block(1)
    agenda.commit(first.block(1), 0)
    assert agenda.is_whole(0)
    agenda.commit(first.block(1), 0)
    following = agenda.next()
    assert following is not None and following.cohort == 1
