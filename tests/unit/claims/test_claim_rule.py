"""Which cohorts are free: drivers that live never share one, and what the dead left is taken."""

from typing import NamedTuple

from hypothesis import given
from hypothesis import strategies as st

from pipeline.claims.claims import Claims

COHORTS = 6


class Claimed(NamedTuple):
    cohort: int
    number: int
    holder: str


class Folder:
    """The claims as a store keeps them: of two that make the same, one is first."""

    def __init__(self):
        self.files: dict[tuple[int, int], str] = {}

    def create(self, claimed: Claimed) -> Claimed:
        holder = self.files.setdefault((claimed.cohort, claimed.number), claimed.holder)
        return claimed._replace(holder=holder)

    def listed(self):
        return [Claimed(*key, holder) for key, holder in self.files.items()]

    def last_holder(self, cohort: int) -> str | None:
        numbers = [number for c, number in self.files if c == cohort]
        return self.files[cohort, max(numbers)] if numbers else None


class Crowd:
    """Four drivers that look at claims when they like; who of them lives, all know."""

    def __init__(self):
        self.folder = Folder()
        self.living = {f"d{number}" for number in range(4)}
        self.known = {name: Claims(name) for name in sorted(self.living)}

    def look(self, me: str) -> None:
        for claimed in self.folder.listed():
            self.known[me].learn(*claimed)

    def take(self, me: str, cohort: int) -> bool:
        """Whether it took a cohort that was not its own."""
        claims = self.known[me]
        number = claims.free_number(cohort, self.living)
        if number is None:
            return False
        claims.learn(*self.folder.create(Claimed(cohort, number, me)))
        return claims.is_ours(cohort)

    def do(self, what: str, me: str, cohort: int) -> None:
        """One step of one that lives; a cohort that it takes was nobody's who lives."""
        before = self.folder.last_holder(cohort)
        if what == "die" and len(self.living) > 1:
            self.living.discard(me)
        elif what == "look":
            self.look(me)
        elif what == "take" and self.take(me, cohort):
            assert before not in self.living


STEPS = st.tuples(st.sampled_from(("take", "look", "die")), st.integers(0, 3), st.integers(0, 5))


@given(st.lists(STEPS, max_size=60))
def test_no_cohort_is_taken_from_a_living_driver_and_each_that_a_dead_one_left_is(steps):
    crowd = Crowd()
    for what, number, cohort in steps:
        if (me := f"d{number}") in crowd.living:
            crowd.do(what, me, cohort)
    survivor = min(crowd.living)
    crowd.look(survivor)
    for cohort in range(COHORTS):
        free = crowd.folder.last_holder(cohort) not in crowd.living
        assert crowd.take(survivor, cohort) == free
        assert crowd.folder.last_holder(cohort) in crowd.living


@given(st.permutations(range(5)))
def test_claims_are_learnt_in_any_order(order):
    claims = Claims("me")
    for number in order:
        claims.learn(3, number, "me" if number == 4 else f"d{number}")
    assert claims.is_ours(3)
    assert claims.holder(3) == "me"


def test_claim_that_nobody_can_read_is_free_for_the_next_number():
    claims = Claims("me")
    claims.learn(3, 0, "other")
    claims.learn(3, 1, None)
    assert claims.holder(3) is None
    assert claims.free_number(3, {"other"}) == 2


def test_reach_is_past_the_highest_cohort_of_the_living():
    claims = Claims("me")
    for cohort, holder in ((2, "alive"), (5, "dead"), (1, "me")):
        claims.learn(cohort, 0, holder)
    assert claims.reach({"alive", "me"}) == 3
    assert claims.reach(set()) == 0
