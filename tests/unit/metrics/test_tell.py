"""What a meter is told of a driver."""

from collections import Counter
from typing import Any

import pytest

from pipeline.metrics.meter import Meter
from pipeline.metrics.rates import Tokens
from pipeline.metrics.table import METRICS, Metric
from pipeline.metrics.tell import Gauged, Teller
from schemas.manifest import Counts
from tests.stored import make_manifest

NOW = Gauged(
    engines={"live": 3, "loading": 1, "waiting": 0},
    sequences={"running": 30, "waiting": 2},
    replaced={"engine": 1, "machine": 0},
    requeued=4,
    retries=2,
    tokens=Tokens(1000, 5000, 4000),
    waves_open=6,
    progress=0.25,
    left_s=None,
)


class Notes(Meter):
    """A meter that keeps what it is told, and takes nothing that Ray would not take."""

    def __init__(self) -> None:
        self.numbers: Counter[str] = Counter()

    def add(self, metric: Metric, amount: float, **labels: str) -> None:
        assert metric.kind == "counter" and amount > 0
        self.numbers[self._name(metric, labels)] += amount

    def set(self, metric: Metric, value: float, **labels: str) -> None:
        assert metric.kind == "gauge"
        self.numbers[self._name(metric, labels)] = value

    def observe(self, metric: Metric, value: float, **labels: str) -> None:
        assert metric.kind == "histogram"
        self.numbers[self._name(metric, labels)] += 1

    def _name(self, metric: Metric, labels: dict[str, str]) -> str:
        assert metric in METRICS and tuple(labels) == metric.labels
        return " ".join([metric.name.removeprefix("arborist_"), *labels.values()])


def told(*looks: Gauged, **changes: Any) -> Counter[str]:
    notes = Notes()
    teller = Teller(notes)
    for look in looks:
        teller.standing(look._replace(**changes))
    return notes.numbers


def test_waves_add_up_by_level_and_reason():
    notes = Notes()
    teller = Teller(notes)
    counts = Counts(
        asked=10, kept=6, dropped={"duplicate": 3, "failed:invalid": 1}, output_tokens=70
    )
    for wave in ("000000", "000001", "000001.0"):
        teller.wave(make_manifest(wave, counts=counts.model_copy(update={"aside_tokens": 5})))
    assert notes.numbers == {
        "waves_committed_total 1": 2,
        "waves_committed_total 2": 1,
        "nodes_asked_total 1": 20,
        "nodes_asked_total 2": 10,
        "nodes_kept_total 1": 12,
        "nodes_kept_total 2": 6,
        "committed_tokens_total 1": 150,
        "committed_tokens_total 2": 75,
        "nodes_dropped_total duplicate": 9,
        "nodes_dropped_total failed:invalid": 3,
    }


def test_counters_stand_at_the_totals_however_often_they_are_told():
    once, twice = told(NOW), told(NOW, NOW)
    assert once == twice
    assert once["sampled_tokens_total"] == 1000
    assert once["engines_replaced_total engine"] == 1
    assert "engines_replaced_total machine" not in once
    more = told(NOW, NOW._replace(retries=7, tokens=Tokens(1500, 6000, 4500)))
    assert (more["store_retries_total"], more["cached_prompt_tokens_total"]) == (7, 4500)


def test_counters_go_on_when_a_pool_counts_from_nothing_again():
    assert (
        told(NOW, NOW._replace(requeued=0), NOW._replace(requeued=1))["nodes_requeued_total"] == 5
    )


@pytest.mark.parametrize("left_s", [None, 90.0])
def test_time_that_is_not_known_is_not_told(left_s: float | None):
    numbers = told(NOW, left_s=left_s)
    assert numbers.get("left_seconds") == left_s
    assert (numbers["progress_ratio"], numbers["waves_open"]) == (0.25, 6)


def test_gauges_stand_at_nothing_once_engines_are_let_go():
    notes = Notes()
    teller = Teller(notes)
    teller.standing(NOW)
    assert notes.numbers["engines live"] == 3
    teller.let_go()
    gauges = [n for n in notes.numbers if n.startswith(("engines ", "engine_sequences", "waves_"))]
    assert len(gauges) == 6 and {notes.numbers[name] for name in gauges} == {0}
    assert notes.numbers["sampled_tokens_total"] == 1000


def test_commits_are_observed_one_by_one():
    notes = Notes()
    teller = Teller(notes)
    teller.commit(0.02)
    teller.commit(2.0)
    assert notes.numbers == {"commit_seconds": 2}
