"""An engine over a server that fails: what is tried again, what is refused, what ends it."""

import threading
from collections.abc import Iterator

import pytest

from pipeline.engines.scripted_author import END, VOCAB_SIZE
from pipeline.engines.scripted_author import decode as decode_bytes
from pipeline.engines.server import Codec, ServerConfig, ServerEngine
from schemas.errors import EngineError, EnvironmentMismatch, ModelError
from schemas.records import Completion, Failure, Outcome, Request, Sampling, to_ids
from tests.completion_server import CompletionServer, running, said_with
from tests.processes import until

PROMPT = to_ids(list(b"Tell me."))


@pytest.fixture
def server() -> Iterator[CompletionServer]:
    with running(CompletionServer()) as server:
        yield server


def engine_over(server: CompletionServer, **more) -> ServerEngine:
    settings = {
        "url": server.url,
        "weights": "believed",
        "load_codec": lambda: Codec(lambda text: list(text.encode()), decode_bytes),
        "context": 512,
        "vocab_size": VOCAB_SIZE,
        "concurrency": 4,
        "top_logprobs": 3,
        "awaited_s": 0.0,
        "pauses_s": (0.01, 0.01),
    }
    return ServerEngine(ServerConfig(**settings | more))


@pytest.fixture
def engine(server) -> Iterator[ServerEngine]:
    engine = engine_over(server)
    engine.start()
    yield engine
    engine.close()


def request(n: int = 1, seed: int | None = 100, **sampling) -> Request:
    sampling = {"max_tokens": 64, "stop_ids": (END,)} | sampling
    return Request("000000", "parent", 0, n, PROMPT, Sampling(**sampling), seed)


def outcomes_of(engine: ServerEngine, *requests: Request) -> list[Outcome]:
    outcomes = []
    for one in requests:
        engine.add(one)
    while engine.has_work():
        outcomes += engine.step()
    return sorted(outcomes, key=lambda outcome: outcome.key)


def expected(seed: int) -> str:
    return decode_bytes(to_ids(said_with(seed)[:-1]))


def fail_first(fate: str, times: int):
    return lambda number: fate if number <= times else "deliver"


@pytest.mark.parametrize("fate", ["500", "503", "429", "408", "break", "abort", "500 in stream"])
def test_child_that_the_server_fails_is_asked_again(server, engine, fate):
    server.fate = fail_first(fate, 2)
    (outcome,) = outcomes_of(engine, request())
    assert isinstance(outcome, Completion)
    assert (outcome.text, outcome.stop_id) == (expected(100), END)
    assert len(server.asked) == 3
    assert [body["seed"] for body in server.asked] == [100] * 3


@pytest.mark.parametrize("fate", ["500", "break"])
def test_server_that_goes_on_failing_ends_the_engine(server, engine, fate):
    server.fate = lambda number: fate
    engine.add(request())
    with pytest.raises(EngineError, match="failed a request 3 times"):
        while True:
            engine.step()


@pytest.mark.parametrize("fate", ["400", "422", "400 in stream"])
def test_request_that_the_server_refuses_is_invalid_and_disturbs_no_other(server, engine, fate):
    server.fate = fail_first(fate, 1)
    first = outcomes_of(engine, request())
    (second,) = outcomes_of(engine, request())
    assert isinstance(first[0], Failure)
    assert (first[0].reason, len(server.asked)) == ("invalid", 2)
    assert "as planned" in first[0].message
    assert isinstance(second, Completion)


@pytest.mark.parametrize("fate", ["401", "404"])
def test_server_that_forgot_its_model_or_key_ends_the_engine(server, engine, fate):
    server.fate = lambda number: fate
    engine.add(request())
    with pytest.raises(EngineError, match=f"status {fate}: as planned"):
        while True:
            engine.step()


def test_turn_that_is_shorter_than_its_finish_reason_says_is_a_failure(server, engine):
    server.fate = lambda number: "fewer"
    (outcome,) = outcomes_of(engine, request())
    assert isinstance(outcome, Failure)
    assert (outcome.reason, "asked for 64" in outcome.message) == ("engine", True)


def test_children_have_seeds_of_their_own_and_draw_some_where_none_is_given(server, engine):
    outcomes = outcomes_of(engine, request(3))
    assert [outcome.text for outcome in outcomes] == [expected(100 + i) for i in range(3)]
    server.asked.clear()
    outcomes_of(engine, request(6, seed=None))
    assert len({body["seed"] for body in server.asked}) == 6


def test_seeds_at_the_end_of_their_range_begin_anew(server, engine):
    outcomes_of(engine, request(2, seed=2**63 - 1))
    assert sorted(body["seed"] for body in server.asked) == [0, 2**63 - 1]


def test_requests_under_way_are_no_more_than_the_server_is_to_be_asked(server, engine):
    server.fate = lambda number: "hang"
    engine.add(request(10))
    engine.step()
    until(lambda: len(server.asked) == 4, 10)
    engine.step()
    stats = engine.stats()
    assert (stats.running, stats.waiting) == (4, 6)
    assert len(server.asked) == 4


def test_server_that_stands_still_is_seen_to(server, engine):
    server.fate = lambda number: "hang"
    engine.add(request())
    until(lambda: not engine.step() and engine.stats().steps > 0, 10)
    before = engine.stats()
    assert (engine.step(), engine.step()) == ([], [])
    assert engine.stats() == before


def test_closed_engine_has_ended_its_thread_and_hung_up(server, engine):
    server.fate = lambda number: "hang"
    engine.add(request(2))
    engine.step()
    until(lambda: len(server.asked) == 2, 10)
    engine.close()
    assert not engine.has_work()
    assert "server" not in {thread.name for thread in threading.enumerate()}
    with pytest.raises(EngineError, match="closed"):
        engine.add(request())


def test_top_logprobs_leave_out_the_sampled_token_that_is_listed_above_them(server, engine):
    (outcome,) = outcomes_of(engine, request(top_logprobs=3, logprobs="tokens"))
    assert isinstance(outcome, Completion)
    assert outcome.top is not None
    assert outcome.top.ids.tolist() == [[1, 2, 3]] * len(said_with(100))
    assert outcome.token_logprobs.tolist() == [-0.5] * (len(said_with(100)) - 1)


def test_cached_tokens_are_those_that_the_server_tells(server, engine):
    outcomes_of(engine, request(3))
    assert engine.stats().cached_tokens == 6
    assert engine.stats().prompt_tokens == 3 * len(PROMPT)


def refusal(server: CompletionServer, error: type[Exception], **more) -> str:
    engine = engine_over(server, **more)
    with pytest.raises(error) as caught:
        engine.start()
    engine.close()
    return str(caught.value)


def test_start_without_a_server_says_where_it_was_looked_for():
    silent = CompletionServer(url="http://127.0.0.1:9")
    assert "No server answered at http://127.0.0.1:9" in refusal(silent, EngineError)


def test_start_refuses_a_server_of_another_model(server):
    server.names = ("llama", "qwen")
    assert "serves 'llama', 'qwen'; expected 'model'" in refusal(server, ModelError, name="model")
    assert "server.name" in refusal(server, ModelError)
    engine = engine_over(server, name="qwen")
    engine.start()
    outcomes_of(engine, request())
    engine.close()
    assert server.asked[0]["model"] == "qwen"


def test_start_refuses_a_context_that_is_too_short(server):
    server.max_model_len = 256
    assert "--max-model-len 512" in refusal(server, ModelError)


def test_start_refuses_another_tokenizer(server):
    server.shift = 1
    assert "has another tokenizer" in refusal(server, ModelError)


def test_start_refuses_a_server_that_returns_no_token_ids(server):
    server.returns_ids = False
    assert "no token ids" in refusal(server, EnvironmentMismatch)


def test_start_refuses_logprobs_after_temperature(server):
    server.processed = True
    assert "--logprobs-mode raw_logprobs" in refusal(server, EnvironmentMismatch)


def test_key_is_read_from_the_environment_of_the_engine(server, monkeypatch):
    server.key = "opens sesame"
    assert "status 401" in refusal(server, EngineError)
    monkeypatch.delenv("THE_KEY", raising=False)
    assert "THE_KEY is not set" in refusal(server, EnvironmentMismatch, key_variable="THE_KEY")
    monkeypatch.setenv("THE_KEY", server.key)
    engine = engine_over(server, key_variable="THE_KEY", url=f"{server.url}/v1/")
    assert engine.start().weights == "believed"
    engine.close()
