"""A self-test tells sound engines from broken ones. Real engines here are a test's own."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipeline.engines.engine import Engine
from pipeline.engines.scripted_author import OPEN_USER, VOCAB_SIZE
from pipeline.engines.self_test import TestedEngine, Trial
from schemas.errors import EngineError
from schemas.records import Completion, Outcome, to_ids
from tests.engine_benches import scripted_bench, tiny_vllm_bench
from tests.tiny_llama import tiny_llama

TRIAL = Trial(to_ids([OPEN_USER]), VOCAB_SIZE, seeded=True)


class Faulty:
    """A sound engine behind hardware that spoils what it says."""

    def __init__(self, engine: Engine, spoil: Callable[[Completion], Outcome]) -> None:
        self._engine, self._spoil = engine, spoil
        self.start, self.add, self.stats = engine.start, engine.add, engine.stats
        self.has_work, self.close = engine.has_work, engine.close

    def step(self) -> list[Outcome]:
        return [self._spoil(outcome) for outcome in self._engine.step()]


def dice(completion: Completion) -> Completion:
    """Another first token whenever it is asked."""
    ids = completion.token_ids.copy()
    ids[:1] = np.random.default_rng().integers(200)
    return replace(completion, token_ids=ids)


def crash(completion: Completion) -> Outcome:
    raise RuntimeError("CUDA error: an illegal instruction was encountered")


def of_all(**fields) -> Callable[[Completion], Completion]:
    return lambda completion: replace(completion, **fields)


def with_logprobs(value: float) -> Callable[[Completion], Completion]:
    return lambda c: replace(c, token_logprobs=np.full(len(c.token_ids), value, np.float32))


SPOILED = {
    "self-test: it made the token ids .*260": of_all(token_ids=to_ids([5, VOCAB_SIZE])),
    "it made no token at all": of_all(token_ids=to_ids([]), text=""),
    r"log-probabilities .* are \[nan": with_logprobs(float("nan")),
    r"log-probabilities .* are \[0\.5": with_logprobs(0.5),
    r"most likely has the log-probability -20\.000": with_logprobs(-20.0),
    "decode to ''": of_all(text=""),
    "began [0-3] times with the same token": dice,
    "broke in its self-test: RuntimeError: CUDA error": crash,
}


def test_self_test_passes_a_sound_engine_and_counts_none_of_its_work():
    engine = TestedEngine(scripted_bench().engine, TRIAL)
    assert engine.start().backend == "scripted"
    assert not engine.has_work()
    stats = engine.stats()
    assert (stats.steps, stats.tokens, stats.prompt_tokens, stats.cached_tokens) == (0, 0, 0, 0)


@pytest.mark.parametrize("words", SPOILED)
def test_self_test_tells_what_is_wrong(words):
    engine = TestedEngine(Faulty(scripted_bench().engine, SPOILED[words]), TRIAL)
    with pytest.raises(EngineError, match=words) as caught:
        engine.start()
    assert "generation.model.dtype" in str(caught.value)


def test_self_test_of_a_run_without_seeds_does_not_ask_for_them():
    engine = TestedEngine(Faulty(scripted_bench().engine, dice), TRIAL._replace(seeded=False))
    assert engine.start().backend == "scripted"


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    return tiny_llama(tmp_path / "tiny", hidden=128)


def spoil_weights(folder: Path) -> None:
    """As a download that went wrong, or an overflow in a merge, leaves them."""
    from safetensors.numpy import load_file, save_file

    weights = load_file(folder / "model.safetensors")
    name = "model.layers.1.mlp.down_proj.weight"
    weights[name] = np.full_like(weights[name], np.nan)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


@pytest.mark.vllm
@pytest.mark.slow
def test_self_test_finds_weights_that_are_no_numbers_in_real_vllm(tiny):
    bench = tiny_vllm_bench(tiny)
    trial = Trial(bench.encode("Why do"), bench.vocab_size, seeded=True)
    bench.engine = TestedEngine(bench.engine, trial)
    bench.start()
    assert isinstance(bench.run(bench.request(prompt=trial.prompt))[0], Completion)
    bench.close()
    spoil_weights(tiny)
    bench = tiny_vllm_bench(tiny)
    bench.engine = TestedEngine(bench.engine, trial)
    with pytest.raises(EngineError, match="self-test") as caught:
        bench.start()
    bench.close()
    assert "nan" in str(caught.value)
