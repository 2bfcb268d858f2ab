"""When a run will end, and how that is known."""

import pytest

from pipeline.plan.plan import make_plan
from pipeline.recipes import RECIPES
from pipeline.report.drivers import DriverStatus
from pipeline.report.eta import Eta, eta_of
from pipeline.report.status import Status, status_of
from schemas.claim import Driver, Headway
from schemas.execution_spec import BudgetSpec
from schemas.manifest import Counts
from tests.stored import make_manifest
from tests.unit.samples import make_spec

CLAIM_S = 60.0
SPEC = make_spec((4,), trees=100, bounds={"trees_per_cohort": 10, "candidates_per_wave": 40})
PLAN = make_plan(SPEC, RECIPES["tg-sft"], 100)


def status(waves: int = 2, budget: BudgetSpec | None = None) -> Status:
    """400 candidates are planned; a wave has 40, of 100 tokens each, and takes ten seconds."""
    counts = Counts(asked=40, kept=40, output_tokens=4000)
    manifests = [
        make_manifest(f"{i:06d}", counts=counts).model_copy(
            update={"started_at": 10.0 * i, "finished_at": 10.0 * i + 10}
        )
        for i in range(waves)
    ]
    return status_of(PLAN, manifests, budget)


def driver(
    state: str = "growing",
    speed: float | None = 100.0,
    *,
    heard_s: float = 5.0,
    old: bool = False,
    over_s: float = 60.0,
) -> DriverStatus:
    headway = Headway(
        live=1,
        loading=0,
        waiting=0,
        replaced=0,
        waves_open=2,
        waves=1,
        asked=40,
        failed=0,
        tokens_per_s=speed,
        over_s=over_s,
    )
    me = Driver(attempt="a", host="h", machine="m", pid=1, claim_s=CLAIM_S)
    return DriverStatus(me, state, heard_s, (), None if old else headway)


def eta(*drivers: DriverStatus, waves: int = 2, budget: BudgetSpec | None = None) -> Eta:
    return eta_of(status(waves, budget), drivers)


def test_what_is_left_is_made_at_the_speed_of_late():
    found = eta(driver())
    assert found.seconds == pytest.approx(32_000 / 100)
    assert found.how == "at 100.0 tokens/s, what its driver sampled over the last 60 s"


def test_speeds_of_drivers_add_up_and_those_that_wait_make_nothing():
    found = eta(driver(), driver(speed=300.0), driver("waiting", 50.0))
    assert (found.seconds, found.tokens_per_s) == (pytest.approx(80), 400)
    assert found.how == "at 400.0 tokens/s, what 2 drivers sampled over the last 60 s"


@pytest.mark.parametrize(
    "other", [driver("loading", None, old=True), driver(heard_s=CLAIM_S + 1), driver(speed=None)]
)
def test_drivers_without_a_speed_are_told_of(other: DriverStatus):
    found = eta(driver(), other)
    assert found.seconds == pytest.approx(320)
    assert found.how.endswith("; 1 more may work, of which no speed is known")


@pytest.mark.parametrize(
    ("drivers", "why"),
    [
        ((), "no driver works on it"),
        ((driver("ended"), driver("gone")), "no driver works on it"),
        ((driver("silent", heard_s=9999),), "no driver works on it, 1 fell silent"),
        ((driver(heard_s=200), driver(heard_s=90)), "nothing was heard of its drivers for 90 s"),
        ((driver("loading", old=True),), "its drivers are loading"),
        ((driver("loading"), driver("waiting")), "its drivers are loading and waiting"),
        ((driver(speed=None),), "its engines have not worked for long enough to tell their speed"),
        ((driver(speed=0.0),), "its engines sample nothing at present"),
    ],
)
def test_unknown_time_is_said_to_be_unknown_and_why(drivers: tuple[DriverStatus, ...], why: str):
    found = eta(*drivers)
    assert (found.seconds, found.how) == (None, why)


def test_nothing_is_known_before_the_first_wave():
    assert eta(driver(), waves=0)[:2] == (None, "no wave is committed yet")
    assert eta(driver(old=True), waves=0)[:2] == (None, "no wave is committed yet")


def test_drivers_of_older_versions_leave_the_mean_speed():
    found = eta(driver(old=True))
    assert found.seconds == pytest.approx(32_000 / 400)
    assert found.how.startswith("at 400.0 tokens/s, the mean of the run so far")


@pytest.mark.parametrize(
    ("budget", "seconds"),
    [
        # Half of the nodes that were made once more, or tokens: at the speed of late.
        (BudgetSpec(nodes=120), 40.0),
        (BudgetSpec(tokens=12_000), 40.0),
        # Time passes as it does.
        (BudgetSpec(hours=30 / 3600), 10.0),
        (BudgetSpec(nodes=100_000), 320.0),
    ],
)
def test_a_budget_may_end_it_sooner(budget: BudgetSpec, seconds: float):
    assert eta(driver(), budget=budget).seconds == pytest.approx(seconds)
