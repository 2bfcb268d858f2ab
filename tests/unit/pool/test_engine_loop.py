"""One thread owns the engine; callers meet it through inbox and outbox."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest

from pipeline.engines.scripted import WEIGHTS, ScriptedConfig, ScriptedEngine
from pipeline.pool.engine_loop import EngineLoop
from schemas.errors import EngineError
from schemas.records import EngineReport, EngineStats, Outcome, Request, Sampling

PATIENCE_S = 30


def make_request(parent: str = "p", n: int = 4) -> Request:
    prompt = np.frombuffer(parent.encode(), dtype=np.uint8).astype(np.int32)
    return Request("w0", parent, 0, n, prompt, Sampling(max_tokens=50), seed=1)


@contextmanager
def running(make_engine, **options) -> Iterator[EngineLoop]:
    loop = EngineLoop(make_engine, 0, **options)
    yield loop
    assert loop.close(PATIENCE_S)


def scripted(**settings):
    return lambda incarnation: ScriptedEngine(ScriptedConfig(**settings), incarnation)


class ThreadWitness(ScriptedEngine):
    """Notes the threads that touch it."""

    def __init__(self, seen: set[int]) -> None:
        self.seen = seen
        self.note()
        super().__init__(ScriptedConfig(), 0)

    def note(self) -> None:
        self.seen.add(threading.get_ident())

    def start(self) -> EngineReport:
        self.note()
        return super().start()

    def add(self, request: Request) -> None:
        self.note()
        super().add(request)

    def step(self) -> list[Outcome]:
        self.note()
        return super().step()

    def stats(self) -> EngineStats:
        self.note()
        return super().stats()

    def close(self) -> None:
        self.note()
        super().close()


def test_exchange_returns_outcomes_and_counters():
    with running(scripted(mean_tokens=20)) as loop:
        assert loop.start_report(PATIENCE_S).weights == WEIGHTS
        exchange = loop.exchange([make_request(n=4)], PATIENCE_S, linger_s=PATIENCE_S)
        assert {one.key for one in exchange.outcomes} == set(make_request(n=4).keys)
        assert exchange.stats.tokens > 0


def test_exchange_lingers_for_more_but_not_once_the_engine_is_idle():
    with running(scripted(step_s=0.01)) as loop:
        loop.start_report(PATIENCE_S)
        began = time.monotonic()
        exchange = loop.exchange([make_request(n=64)], PATIENCE_S, linger_s=PATIENCE_S)
        assert len(exchange.outcomes) == 64
        assert time.monotonic() - began < PATIENCE_S / 2


def test_exchange_without_work_waits_no_longer_than_asked():
    with running(scripted()) as loop:
        loop.start_report(PATIENCE_S)
        assert loop.exchange([], 0.01).outcomes == []


def test_put_beside_a_waiting_exchange_ends_it():
    with running(scripted()) as loop:
        loop.start_report(PATIENCE_S)
        answers: list[int] = []
        listener = threading.Thread(
            target=lambda: answers.append(len(loop.exchange([], PATIENCE_S).outcomes))
        )
        listener.start()
        loop.put([make_request(n=1)])
        listener.join(PATIENCE_S)
        assert answers == [1]


def test_engine_is_only_touched_by_one_thread():
    seen: set[int] = set()
    with running(lambda incarnation: ThreadWitness(seen)) as loop:
        loop.exchange([make_request()], PATIENCE_S)
    assert len(seen) == 1
    assert threading.get_ident() not in seen


def test_start_report_engine_that_cannot_be_made_names_its_error():
    def broken(incarnation: int) -> ScriptedEngine:
        raise OSError("no such device")

    with running(broken) as loop, pytest.raises(EngineError, match="OSError: no such device") as e:
        loop.start_report(PATIENCE_S)
    assert isinstance(e.value.__cause__, OSError)


def test_exchange_engine_that_dies_first_hands_out_what_was_finished():
    with running(scripted(mean_tokens=16, sigma=0, die_after=4, max_num_seqs=4)) as loop:
        loop.start_report(PATIENCE_S)
        exchange = loop.exchange([make_request(n=8)], PATIENCE_S, linger_s=0.05)
        assert len(exchange.outcomes) == 4
        with pytest.raises(EngineError, match="dies after 4 children"):
            loop.exchange([], PATIENCE_S)


def test_wake_is_called_when_loaded_and_when_there_are_outcomes():
    news = threading.Semaphore(0)
    with running(scripted(), wake=news.release) as loop:
        assert news.acquire(timeout=PATIENCE_S)
        assert loop.start_report(0) is not None
        loop.put([make_request(n=1)])
        assert news.acquire(timeout=PATIENCE_S)
        assert len(loop.exchange([], 0).outcomes) == 1


def test_close_frees_the_engine_with_work_left():
    engines: list[ScriptedEngine] = []

    def make_engine(incarnation: int) -> ScriptedEngine:
        engines.append(ScriptedEngine(ScriptedConfig(step_s=0.01)))
        return engines[0]

    loop = EngineLoop(make_engine, 0)
    loop.put([make_request(n=200)])
    assert loop.close(PATIENCE_S)
    with pytest.raises(EngineError, match="closed"):
        loop.exchange([], 0)
    assert not any(engine.has_work() for engine in engines)
