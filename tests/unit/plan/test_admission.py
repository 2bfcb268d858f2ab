"""Budgets: what is counted, and which cohorts begin, however waves are scheduled."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.plan.agenda import child_waves, planned_waves, whole_cohorts
from pipeline.plan.budget import (
    Admission,
    Held,
    Spending,
    Spent,
    exhausted,
    limits,
    spent_of,
)
from pipeline.plan.plan import make_plan
from pipeline.recipes import RECIPES
from schemas.errors import CorruptData
from schemas.execution_spec import BudgetSpec
from schemas.manifest import Counts
from schemas.wave_id import WaveId
from tests.stored import make_manifest
from tests.unit.samples import agenda_after, make_spec

RECIPE = RECIPES["tg-sft"]
SPEC = make_spec((2, 2, 2), trees=12, bounds={"trees_per_cohort": 1, "candidates_per_wave": 4})
PLAN = make_plan(SPEC, RECIPE, 12)
NODES = 14
"""Of a cohort: 2, 4, and 8 in two waves, where everything is kept."""
UNITS = ("nodes", "tokens", "hours", "gpu_hours")
GPUS = 4.0
TOKENS_AN_HOUR = 100.0


def wave(name, *, asked=8, tokens=800, asides=0, at=0.0, attempt="a", gpus=0.0):
    counts = Counts(asked=asked, kept=asked, output_tokens=tokens, aside_tokens=asides)
    changes = {"started_at": at, "finished_at": at + 3600, "gpus": gpus}
    return make_manifest(name, attempt, counts=counts).model_copy(update=changes)


def test_spent_adds_up_nodes_tokens_and_time_over_attempts():
    spent = spent_of(
        [
            wave("000000", asides=50, gpus=2),
            wave("000000.0", at=1800, gpus=2),
            wave("000001", at=3600, attempt="b", gpus=8),
        ]
    )
    assert spent == Spent(nodes=24, tokens=2450, hours=2.0, gpu_hours=2 * 1.5 + 8 * 1.0)


def test_spent_gpu_hours_follow_gpus_that_come_and_go():
    waves = [
        wave("000000", gpus=2),
        wave("000001", gpus=4),
        wave("000002", at=3600, gpus=6),
        wave("000003", at=3600, gpus=8),
    ]
    assert spent_of(waves).gpu_hours == pytest.approx(2 * (2 + 4 + 6 + 8) / 4)


def test_spent_gpu_hours_of_an_attempt_that_goes_on_are_what_its_pool_counts():
    spending = Spending()
    for manifest in (wave("000000", gpus=2), wave("000001", attempt="b", gpus=8)):
        spending.add(manifest)
    going_on = Held("a", gpus=0.0, since=0.0, gpu_s=lambda: 5 * 3600.0)
    spent = spending.spent(going_on, now=7200.0)
    assert (spent.hours, spent.gpu_hours) == (2.0, 5 + 8)


def test_exhausted_names_the_first_limit_that_is_reached():
    budget = BudgetSpec(nodes=2000, tokens=1_200_000, hours=2)
    assert exhausted(budget, Spent(1999, 1_199_999, 1.99, 50.0)) is None
    assert exhausted(budget, Spent(10, 1_203_443, 2.5)) == (
        "execution.budget.tokens: 1,203,443 of 1,200,000 tokens are spent"
    )
    assert exhausted(BudgetSpec(gpu_hours=0.5), Spent(gpu_hours=0.75)) == (
        "execution.budget.gpu_hours: 0.75 of 0.5 GPU hours are spent"
    )


def test_limits_are_those_that_are_set():
    assert limits(BudgetSpec(), Spent(5, 5, 5, 5)) == []
    assert limits(BudgetSpec(hours=3, nodes=4), Spent(5, 6, 1.5)) == [
        ("nodes", 5, 4),
        ("hours", 1.5, 3),
    ]


class Cluster:
    """Engines of constant speed, drivers that come and go, and the ledger that they leave."""

    def __init__(self, budget, share, tokens):
        self.budget, self.share, self.tokens = budget, share, tokens
        self.ledger, self.now, self.attempts = {}, 1000.0, 0
        self.opened = []

    def frontier_of(self, wave):
        """As many of the openings as the share says, and all turns below."""
        parents = self.parents_of(wave)
        return (parents * 2 if wave.level > 1 else self.share) if wave.level < 3 else 0

    def parents_of(self, wave):
        if wave.level == 1:
            return 1
        first = wave.path[-1] * 2
        return min(2, self.frontier_of(wave.parent) - first)

    def manifest_of(self, wave, attempt, opened_at):
        asked = 2 * self.parents_of(wave)
        counts = Counts(asked=asked, kept=asked, output_tokens=asked * self.tokens)
        changes = {
            "started_at": opened_at,
            "finished_at": self.now,
            "frontier": self.frontier_of(wave),
            "gpus": GPUS,
        }
        return make_manifest(wave.name, attempt, counts=counts).model_copy(update=changes)

    def attempt(self, draw, steps=10**6):
        """One driver's try; whether it ended by itself, and not after so many waves."""
        self.attempts += 1
        name = f"attempt-{self.attempts}"
        admission = Admission(self.budget, SPEC, RECIPE, PLAN, Held(name, GPUS, self.now))
        for manifest in self.ledger.values():
            admission.book(manifest)
        frontiers = {name: manifest.frontier for name, manifest in self.ledger.items()}
        agenda = agenda_after(frontiers, SPEC, RECIPE, PLAN, lambda: admission.admits(self.now))
        flight = []
        for _ in range(steps):
            while len(flight) < draw(st.integers(1, 9)) and (wave := agenda.next()) is not None:
                flight.append((wave, self.now))
                self.opened.append(wave)
            if not flight:
                self.held_back, self.spent = agenda.held_back, admission.spent(self.now)
                return True
            wave, opened_at = flight.pop(draw(st.integers(0, len(flight) - 1)))
            self.now += 2 * self.parents_of(wave) * self.tokens / TOKENS_AN_HOUR * 3600
            manifest = self.manifest_of(wave, name, opened_at)
            self.ledger[wave.name] = manifest
            admission.book(manifest)
            agenda.commit(wave, manifest.frontier)
        return False

    @property
    def whole(self):
        frontiers = {name: manifest.frontier for name, manifest in self.ledger.items()}
        return list(whole_cohorts(planned_waves(SPEC, RECIPE, PLAN, frontiers)))

    @property
    def cohort(self):
        """What one cohort takes."""
        first = [m for name, m in self.ledger.items() if name.startswith("000000")]
        nodes = sum(manifest.counts.asked for manifest in first)
        hours = nodes * self.tokens / TOKENS_AN_HOUR
        return Spent(nodes, nodes * self.tokens, hours, hours * GPUS)


def budget_of(draw, cohorts=14.0):
    """Limits on some of the units, up to so many cohorts."""
    hours = NODES * 100 / TOKENS_AN_HOUR
    sizes = {"nodes": NODES, "tokens": NODES * 100, "hours": hours, "gpu_hours": GPUS * hours}
    chosen = draw(st.sets(st.sampled_from(UNITS), min_size=1, max_size=2))
    share = draw(st.floats(0.01, cohorts))
    whole = {"nodes", "tokens"}
    return BudgetSpec(
        **{
            unit: max(1, round(share * sizes[unit])) if unit in whole else share * sizes[unit]
            for unit in chosen
        }
    )


@given(st.data())
def test_budget_is_overspent_by_at_most_one_cohort_where_cohorts_are_alike(data):
    share, tokens = data.draw(st.integers(0, 2)), data.draw(st.integers(1, 200))
    cluster = Cluster(budget_of(data.draw), share, tokens)
    while not cluster.attempt(data.draw, data.draw(st.integers(1, 80))):
        pass
    # One that a killed driver opened, and committed nothing of, may not be admitted again.
    begun = {WaveId.parse(name).cohort for name in cluster.ledger}
    assert begun == set(range(max(begun) + 1))
    assert {wave.cohort for wave in cluster.whole} == begun
    assert sorted(wave.name for wave in cluster.whole) == sorted(cluster.ledger)
    assert cluster.held_back == (len(begun) < PLAN.cohorts)
    spent = spent_of(cluster.ledger.values())
    for unit in UNITS:
        allowed = getattr(cluster.budget, unit)
        if allowed is not None and len(begun) > 1:
            assert getattr(spent, unit) <= (allowed + getattr(cluster.cohort, unit)) * (1 + 1e-9)
    if cluster.held_back:
        assert exhausted(cluster.budget, cluster.spent) is not None


@given(st.data())
def test_larger_budget_continues_until_everything_is_whole(data):
    cluster = Cluster(budget_of(data.draw, 6.0), share=2, tokens=100)
    assert cluster.attempt(data.draw)
    first = set(cluster.ledger)
    assert cluster.attempt(data.draw)
    assert set(cluster.ledger) == first, "the same budget begins nothing more"
    cluster.budget = BudgetSpec()
    assert cluster.attempt(data.draw)
    assert not cluster.held_back
    assert first <= set(cluster.ledger)
    assert len(cluster.whole) == len(cluster.ledger) == sum(row.waves for row in PLAN.levels)


@given(st.data())
def test_first_cohort_always_begins_and_is_finished(data):
    cluster = Cluster(BudgetSpec(nodes=1, tokens=1, hours=1e-9, gpu_hours=1e-9), 2, 100)
    assert cluster.attempt(data.draw)
    assert {wave.cohort for wave in cluster.whole} == {0}
    assert cluster.held_back


def test_clock_counts_while_nothing_is_committed():
    admission = Admission(BudgetSpec(hours=1), SPEC, RECIPE, PLAN, Held("a", 2.0, since=100.0))
    assert admission.admits(100.0)
    assert not admission.admits(100.0), "how long a cohort takes is not known yet"
    assert admission.spent(100.0 + 1800) == Spent(0, 0, 0.5, 1.0)
    for name, frontier in {"000000": 0}.items():
        manifest = wave(name, asked=2, tokens=10, at=100.0)
        changes = {"frontier": frontier, "finished_at": 160.0, "gpus": 2.0}
        admission.book(manifest.model_copy(update=changes))
    assert admission.admits(160.0)
    assert not admission.admits(100.0 + 3600)


def in_order(cluster):
    """The ledger, those above before those below."""
    return sorted(cluster.ledger.values(), key=lambda manifest: WaveId.parse(manifest.wave))


def booked(budget, manifests):
    admission = Admission(budget, SPEC, RECIPE, PLAN, Held("resumed", GPUS, 0.0))
    for manifest in manifests:
        admission.book(manifest)
    return admission


def names_above(manifest):
    path = WaveId.parse(manifest.wave).path
    return {WaveId(path[:level]).name for level in range(1, len(path))}


@given(st.data())
def test_order_in_which_waves_are_booked_decides_nothing(data):
    cluster = Cluster(budget_of(data.draw), data.draw(st.integers(0, 2)), 100)
    cluster.attempt(data.draw, data.draw(st.integers(1, 80)))
    waiting, shuffled = in_order(cluster), []
    while waiting:
        seen = {manifest.wave for manifest in shuffled}
        ready = [manifest for manifest in waiting if names_above(manifest) <= seen]
        shuffled.append(data.draw(st.sampled_from(ready)))
        waiting.remove(shuffled[-1])
    one, other = booked(cluster.budget, in_order(cluster)), booked(cluster.budget, shuffled)
    assert one.spent(cluster.now) == other.spent(cluster.now)
    steps = range(PLAN.cohorts + 2)
    assert [one.admits(cluster.now) for _ in steps] == [other.admits(cluster.now) for _ in steps]


@given(st.data())
def test_wave_that_is_booked_before_one_above_it_is_refused(data):
    cluster = Cluster(BudgetSpec(), share=2, tokens=100)
    cluster.attempt(data.draw, data.draw(st.integers(2, 40)))
    shuffled = data.draw(st.permutations(in_order(cluster)))
    for place, manifest in enumerate(shuffled):
        unseen = names_above(manifest) - {earlier.wave for earlier in shuffled[:place]}
        if unseen:
            said = rf"wave {min(unseen)} has child waves but no manifest"
            with pytest.raises(CorruptData, match=said):
                booked(cluster.budget, shuffled)
            return


@given(st.data())
def test_ledger_that_lacks_a_manifest_above_others_is_damaged(data):
    cluster = Cluster(BudgetSpec(), share=2, tokens=100)
    cluster.attempt(data.draw, data.draw(st.integers(2, 80)))
    manifests = in_order(cluster)
    above = set().union(*map(names_above, manifests))
    if above:
        gone = data.draw(st.sampled_from(sorted(above)))
        with pytest.raises(CorruptData, match=rf"wave {gone} has child waves but no manifest"):
            booked(cluster.budget, [m for m in manifests if m.wave != gone])


@pytest.mark.parametrize("name", ["000000.7", "000012", "000000.0.0.0"])
def test_wave_that_no_other_leads_to_is_damage(name):
    first = wave("000000").model_copy(update={"frontier": 2})
    with pytest.raises(CorruptData, match=rf"wave {name} has a manifest, but no wave|child waves"):
        booked(BudgetSpec(), [first, wave(name)])
    with pytest.raises(CorruptData, match="wave 000000 has a manifest, but no wave"):
        booked(BudgetSpec(), [first, first])


def test_cohorts_before_one_that_began_are_begun_without_being_asked():
    """A killed driver may leave a cohort without a wave before one that has some."""
    asked = []
    committed = {"000002": 2}
    agenda = agenda_after(committed, SPEC, RECIPE, PLAN, lambda: asked.append(1) is not None)
    opened = []
    while (ready := agenda.next()) is not None:
        opened.append(ready.name)
    assert opened == ["000000", "000001", "000002.0"]
    assert agenda.held_back and len(asked) == 1


def test_agenda_asks_again_until_the_next_cohort_is_admitted():
    answers = [True, False, False, True]
    agenda = agenda_after({}, SPEC, RECIPE, PLAN, lambda: answers.pop(0))
    first = agenda.next()
    assert first is not None
    assert agenda.next() is None and agenda.held_back
    agenda.commit(first, 2)
    below = agenda.next()
    assert below == first.block(0), "what has begun goes on"
    assert agenda.next() is None and agenda.held_back
    second = agenda.next()
    assert second is not None and second.cohort == 1
    assert not agenda.held_back


@pytest.mark.parametrize("judge_tokens", [0, 7])
def test_before_a_cohort_is_finished_it_is_expected_to_take_what_the_plan_allows(judge_tokens):
    spec = SPEC
    if judge_tokens:
        judge = {"filter": "judge", "roles": ["user"], "max_tokens": judge_tokens}
        spec = make_spec((2, 2, 2), trees=12, bounds=SPEC.bounds, curation={"filters": [judge]})
    most = NODES * 200 + judge_tokens * (2 + 8)
    budget = BudgetSpec(tokens=2 * most + 1)
    admission = Admission(budget, spec, RECIPE, PLAN, Held("a", 0.0, 0.0))
    assert [admission.admits(1.0) for _ in range(4)] == [True, True, True, False]


def test_whole_cohorts_end_at_the_first_gap():
    first = next(iter(planned_waves(SPEC, RECIPE, PLAN, {})))[0]
    frontiers = {"000000": 0, "000001": 2, "000001.0": 0, "000003": 0}
    waves = list(planned_waves(SPEC, RECIPE, PLAN, frontiers))
    assert [w.name for w in whole_cohorts(waves)] == ["000000", "000001", "000001.0"]
    assert list(whole_cohorts(planned_waves(SPEC, RECIPE, PLAN, {}))) == []
    assert list(child_waves(SPEC, RECIPE, first, 0)) == []
