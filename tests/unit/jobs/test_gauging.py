"""What a driver measures of itself."""

from collections import Counter

import pytest

from jobs.gauging import TELL_S, Gauging
from jobs.wiring import make_meter
from pipeline.metrics.meter import Meter, NoMeter
from pipeline.metrics.table import Metric
from pipeline.plan.plan import make_plan
from pipeline.pool.pool import PoolStats
from pipeline.recipes import RECIPES
from pipeline.report.status import Status, status_of
from schemas.manifest import Counts
from schemas.records import EngineStats
from tests.builders import make_spec as rehearsed
from tests.stored import make_manifest, make_run_file
from tests.unit.samples import make_spec

SPEC = make_spec((4,), trees=100)
COUNTS = Counts(asked=40, kept=30, dropped={"empty": 8, "failed:engine": 2}, output_tokens=4000)


class Time:
    """Passes when it is told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Notes(Meter):
    """A meter that keeps what it is told."""

    def __init__(self) -> None:
        self.numbers: Counter[str] = Counter()

    def add(self, metric: Metric, amount: float, **labels: str) -> None:
        self.numbers[metric.name] += amount

    def set(self, metric: Metric, value: float, **labels: str) -> None:
        self.numbers[" ".join([metric.name, *labels.values()])] = value

    def observe(self, metric: Metric, value: float, **labels: str) -> None:
        self.numbers[metric.name] += 1


def status() -> Status:
    return status_of(make_plan(SPEC, RECIPES["tg-sft"], 100), [make_manifest(counts=COUNTS)])


def pool(tokens: int, engines: int = 2) -> PoolStats:
    each = {f"main-{i}": EngineStats(tokens=tokens // engines) for i in range(engines)}
    return PoolStats(engines=each, loading=1, waiting=3, restarts=2, machine_restarts=1)


def grown(gauging: Gauging, time: Time, seconds: int, per_s: int = 100) -> None:
    for second in range(seconds):
        time.now += 1.0
        gauging.seen(pool(per_s * second), 4, status)


def test_local_pool_has_nobody_to_tell():
    meter = make_meter(rehearsed(), make_run_file(), "a")
    assert isinstance(meter, NoMeter)


def test_headway_is_there_while_engines_are():
    time = Time()
    gauging = Gauging(clock=time)
    assert gauging.headway() is None
    with gauging.telling(Notes()):
        gauging.committed(make_manifest(counts=COUNTS), ours=True)
        gauging.committed(make_manifest("000001", counts=COUNTS), ours=False)
        grown(gauging, time, 90)
        found = gauging.headway()
    assert found is not None
    assert (found.live, found.loading, found.waiting, found.replaced) == (2, 1, 3, 3)
    assert (found.waves_open, found.waves, found.asked, found.failed) == (4, 1, 40, 2)
    assert (found.tokens_per_s, found.over_s) == (pytest.approx(100), pytest.approx(60))
    assert gauging.headway() is None and gauging.tokens_per_s is None


def test_each_engine_is_known_by_how_long_it_was_there_and_what_it_did():
    time = Time()
    gauging = Gauging(clock=time)
    busy = EngineStats(running=3, tokens=50, prompt_tokens=100, cached_tokens=60)
    with gauging.telling(Notes()):
        for engines in ({"a": busy}, {"a": busy, "b": EngineStats()}, {"b": EngineStats()}):
            time.now += 10.0
            gauging.seen(PoolStats(engines=engines), 1, status)
        # Another one has begun under the same name, and counts from nothing.
        time.now += 10.0
        gauging.seen(PoolStats(engines={"a": busy._replace(prompt_tokens=7)}), 1, status)
    one, other = gauging.uses()
    assert (one.name, one.up_s, one.at_work_s) == ("a", 30, 30)
    assert (one.prompt_tokens, one.cached_tokens, one.sampled_tokens) == (107, 120, 100)
    assert (other.name, other.up_s, other.at_work_s, other.prompt_tokens) == ("b", 20, 0, 0)
    with gauging.telling(Notes()):
        assert gauging.uses() == ()


def test_time_left_follows_the_speed_of_late_until_others_make_waves_too():
    time = Time()
    gauging = Gauging(clock=time)
    assert gauging.left_s(status()) == status().eta_s
    with gauging.telling(Notes()):
        grown(gauging, time, 90)
        assert gauging.left_s(status()) == pytest.approx((40_000 - 4000) / 100)
        gauging.committed(make_manifest("000001", counts=COUNTS), ours=False)
        assert gauging.left_s(status()) == status().eta_s


def test_a_pool_is_looked_at_now_and_then_and_at_the_end():
    time, notes = Time(), Notes()
    gauging = Gauging(clock=time)
    with gauging.telling(notes):
        gauging.seen(pool(10), 1, status)
        time.now += TELL_S / 2
        gauging.seen(pool(20), 1, status)
        assert notes.numbers["arborist_sampled_tokens_total"] == 10
        assert notes.numbers["arborist_engines live"] == 2
    assert notes.numbers["arborist_sampled_tokens_total"] == 20
    assert notes.numbers["arborist_engines live"] == notes.numbers["arborist_waves_open"] == 0


def test_meters_get_this_drivers_work_and_the_stores_retries():
    retries, notes, time = [5], Notes(), Time()
    gauging = Gauging(lambda: retries[-1], clock=time)
    for _ in range(2):
        with gauging.telling(notes):
            gauging.seen(pool(100), 1, status)
            gauging.committed(make_manifest(counts=COUNTS), ours=True)
            gauging.committed(make_manifest("000001", counts=COUNTS), ours=False)
            gauging.landed(0.5)
            retries.append(7)
        # Others go on while this one has no engines.
        gauging.committed(make_manifest("000002", counts=COUNTS), ours=False)
    told = {name.removeprefix("arborist_"): n for name, n in notes.numbers.items()}
    assert (told["nodes_asked_total"], told["waves_committed_total"]) == (80, 2)
    assert (told["store_retries_total"], told["commit_seconds"]) == (7, 2)
    assert told["sampled_tokens_total"] == 200
    assert told["progress_ratio"] == pytest.approx(0.1)
