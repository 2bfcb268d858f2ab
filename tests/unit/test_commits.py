"""Waves on their way into the ledger: what lands, what is given up, what is raised."""

import threading
from collections.abc import Callable, Iterator

import pytest

from pipeline.commits import Commits
from schemas.errors import StoreError
from schemas.manifest import Manifest
from tests.stored import make_manifest

DEADLINE_S = 60.0


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    """Commits wait for it; opened at the end, so that a test that fails ends."""
    event = threading.Event()
    yield event
    event.set()


def held(gate: threading.Event, wave: str) -> Callable[[], Manifest]:
    """A commit that ends once the gate is open."""

    def commit() -> Manifest:
        assert gate.wait(DEADLINE_S)
        return make_manifest(wave)

    return commit


def begin_two(commits: Commits[str], gate: threading.Event) -> list[str]:
    """The first has begun and soon ends, the second waits for its thread; those that have ended."""
    begun = threading.Event()
    ran: list[str] = []

    def first() -> Manifest:
        begun.set()
        manifest = held(gate, "000000")()
        ran.append("first")
        return manifest

    def second() -> Manifest:
        ran.append("second")
        return make_manifest("000001")

    commits.begin("first", first)
    commits.begin("second", second)
    assert begun.wait(DEADLINE_S)
    threading.Timer(0.05, gate.set).start()
    return ran


def all_landed(commits: Commits[str]) -> dict[str, Manifest]:
    landed: dict[str, Manifest] = {}
    while commits:
        news = dict(commits.landed(DEADLINE_S))
        assert news, "nothing landed in time"
        landed |= news
    return landed


def test_commits_land_once_each_with_what_belongs_to_them(gate: threading.Event) -> None:
    waves = [f"{number:06}" for number in range(20)]
    with Commits[str](4) as commits:
        for wave in waves:
            commits.begin(wave, held(gate, wave))
        assert commits.landed(0) == []
        assert len(commits) == len(waves)
        gate.set()
        landed = all_landed(commits)
        assert commits.landed(DEADLINE_S) == []
    assert landed == {wave: make_manifest(wave) for wave in waves}


def test_a_slow_commit_keeps_no_other_one_waiting(gate: threading.Event) -> None:
    with Commits[str](2) as commits:
        commits.begin("slow", held(gate, "000000"))
        commits.begin("fast", lambda: make_manifest("000001"))
        assert commits.landed(DEADLINE_S) == [("fast", make_manifest("000001"))]
        assert len(commits) == 1
        gate.set()
        assert commits.landed(DEADLINE_S) == [("slow", make_manifest("000000"))]


def test_what_a_commit_raises_is_raised_where_it_would_land() -> None:
    def refused() -> Manifest:
        raise StoreError("the store is away")

    with Commits[str]() as commits:
        commits.begin("000000", refused)
        with pytest.raises(StoreError, match="the store is away"):
            commits.landed(DEADLINE_S)


def test_last_waits_for_what_has_begun_and_gives_up_the_rest(gate: threading.Event) -> None:
    with Commits[str](1) as commits:
        ran = begin_two(commits, gate)
        assert commits.last() == [("first", make_manifest("000000"))]
        assert not commits
    assert ran == ["first"]


def test_leaving_waits_for_what_has_begun_and_begins_nothing_more(gate: threading.Event) -> None:
    with Commits[str](1) as commits:
        ran = begin_two(commits, gate)
    assert ran == ["first"]
