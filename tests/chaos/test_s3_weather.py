"""Whole runs on an S3 that throttles, fails, breaks and forgets to answer.

ARBORIST_SEEDS=100 tries so many seeds; ARBORIST_SEEDS=17:18 plays one again.
"""

import os
import sys
import time
from collections import Counter
from collections.abc import Iterator

import pytest

from pipeline.storage.object_store import FsspecStore
from pipeline.storage.retry import Retry
from pipeline.storage.settle import settle
from schemas.errors import RETRY, Unavailable
from tests.builders import assert_whole, make_spec, memory_store, rows_of, run_scripted
from tests.s3_server import (
    FAULTS,
    Asked,
    Weather,
    Wire,
    deliver,
    new_location,
    s3_server,
    wire_to,
)

SMALL = make_spec(fanouts=(2, 1), trees=1, bounds=(1, 2))
"""A first wave, and waves of one parent below it."""

OFTEN = Retry(tries=12, base_s=0.001)
"""As many tries as the product has, without its patience."""


def seeds() -> range:
    """Of the weathers to be lived through."""
    asked = os.environ.get("ARBORIST_SEEDS", "2")
    start, divider, stop = asked.rpartition(":")
    return range(int(start) if divider else 0, int(stop))


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    with s3_server() as address:
        yield address


@pytest.fixture(scope="module")
def wired(endpoint: str) -> Iterator[tuple[str, Wire]]:
    with wire_to(endpoint) as pair:
        yield pair


@pytest.fixture
def wire(wired: tuple[str, Wire]) -> Wire:
    wired[1].clear()
    return wired[1]


@pytest.fixture(scope="module")
def expected() -> list[dict]:
    """The rows of a run in fair weather."""
    store = memory_store()
    run_scripted(store, SMALL)
    return rows_of(store)


def grow(store: FsspecStore) -> list[Unavailable]:
    """Start the same command until the run is sealed; what stopped it on the way."""
    stopped: list[Unavailable] = []
    while len(stopped) < 200:
        try:
            run_scripted(store, SMALL, f"attempt{len(stopped)}")
        except Unavailable as error:
            stopped.append(error)
        else:
            return stopped
    raise AssertionError(f"not sealed after {len(stopped)} attempts: {stopped[-1]}")


def survived(wire: Wire) -> Counter[str]:
    """Faults by kind."""
    kinds = Counter(dict.fromkeys(FAULTS, 0))
    for (_, fate), times in wire.fates.items():
        if fate != "deliver":
            kinds[fate] += times
    return kinds


@pytest.mark.parametrize("seed", seeds())
def test_generate_in_foul_weather_goes_on_by_itself(
    wired: tuple[str, Wire], wire: Wire, endpoint: str, expected: list[dict], seed: int
) -> None:
    begun = time.monotonic()
    wire.fate = Weather(seed, 0.3)
    store = FsspecStore(f"s3://runs/weather-{seed}", {"endpoint_url": wired[0]}, OFTEN)
    stopped = grow(store)
    sys.stderr.write(
        f"seed {seed}: {time.monotonic() - begun:.1f} s, survived {dict(survived(wire))}\n"
    )
    assert not stopped, "three faults in ten do not outlast twelve tries"
    assert survived(wire).total() > 0
    assert_whole(FsspecStore(store.location, {"endpoint_url": endpoint}), expected, f"seed {seed}")


@pytest.mark.parametrize("seed", seeds())
def test_generate_whose_retries_give_up_is_resumed_and_whole(
    wired: tuple[str, Wire], wire: Wire, endpoint: str, expected: list[dict], seed: int
) -> None:
    wire.fate = Weather(seed, 0.1)
    store = FsspecStore(f"s3://runs/storm-{seed}", {"endpoint_url": wired[0]}, Retry(tries=1))
    stopped = grow(store)
    sys.stderr.write(f"seed {seed}: {len(stopped)} stops, survived {dict(survived(wire))}\n")
    for error in stopped:
        assert error.exit_code == RETRY
        assert store.location in str(error) and "start the same command again" in str(error)
    assert_whole(FsspecStore(store.location, {"endpoint_url": endpoint}), expected, f"seed {seed}")


@pytest.mark.parametrize("fault", FAULTS)
def test_each_operation_that_meets_a_fault_twice_is_done_once(
    wired: tuple[str, Wire], wire: Wire, fault: str
) -> None:
    def twice(asked: Asked) -> str:
        return fault if asked.again <= 2 else "deliver"

    wire.fate = twice
    store = FsspecStore(new_location(), {"endpoint_url": wired[0]}, OFTEN)
    assert settle(store, "nodes/a", b"ours") == b"ours"
    assert settle(store, "nodes/b", b"") == b""
    assert store.list("") == ["nodes/a", "nodes/b"]
    assert store.read("nodes/a") == b"ours"
    store.delete("nodes/a")
    wire.fate = deliver
    assert store.list("nodes") == ["nodes/b"]
    assert {verb for verb, met in wire.fates if met == fault} == {"PUT", "GET", "LIST", "DELETE"}


def test_generate_on_a_store_that_goes_away_stops_and_another_attempt_ends_it(
    wired: tuple[str, Wire], wire: Wire, endpoint: str, expected: list[dict]
) -> None:
    def gone(asked: Asked) -> str:
        return "break" if len(wire.seen) > 25 else "deliver"

    wire.fate = gone
    store = FsspecStore(new_location(), {"endpoint_url": wired[0]}, Retry(tries=3, base_s=0.0))
    with pytest.raises(Unavailable, match="start the same command again") as caught:
        run_scripted(store, SMALL)
    assert caught.value.exit_code == RETRY
    wire.clear()
    run_scripted(store, SMALL, "second")
    assert_whole(FsspecStore(store.location, {"endpoint_url": endpoint}), expected)
