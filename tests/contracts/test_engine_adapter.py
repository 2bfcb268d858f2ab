"""vLLM writing with a LoRA adapter: every engine here is a test's own."""

import json
from pathlib import Path

import pytest

from jobs.prepare_tiny import prepare_tiny
from pipeline.engines.weights import weights_digest
from schemas.errors import EngineError
from schemas.records import Outcome
from tests.adapters import write_adapter
from tests.engine_benches import small_vllm_bench

pytestmark = [pytest.mark.vllm, pytest.mark.slow]


@pytest.fixture(scope="module")
def model() -> Path:
    return prepare_tiny()


def adapter_of(model: Path, folder: Path, **settings) -> str:
    """An adapter that fits the model."""
    config = json.loads((model / "config.json").read_text())
    shape = {"num_layers": config["num_hidden_layers"], "hidden": config["hidden_size"]}
    return str(write_adapter(folder, **shape, **settings))


def greedy_answer(model: Path, adapter: str | None) -> list[int]:
    bench = small_vllm_bench(adapter=adapter)
    try:
        assert bench.start().weights == weights_digest(str(model), adapter)
        outcome: Outcome
        (outcome,) = bench.run(bench.request(sampling={"temperature": 0.0}))
        return outcome.token_ids.tolist()
    finally:
        bench.close()


@pytest.fixture(scope="module")
def plain(model: Path) -> list[int]:
    """What is said without an adapter."""
    return greedy_answer(model, None)


def test_adapter_that_vllm_cannot_use_is_named_at_the_start_and_frees_the_process(
    model, plain, tmp_path
):
    bench = small_vllm_bench(adapter=adapter_of(model, tmp_path / "dora", use_dora=True))
    with pytest.raises(EngineError, match=r"with .*/dora: .*DoRA"):
        bench.start()
    # One of zeros changes nothing.
    assert greedy_answer(model, adapter_of(model, tmp_path / "zeros", scale=0.0)) == plain


def test_adapter_writes_what_it_was_taught(model, plain, tmp_path):
    assert greedy_answer(model, adapter_of(model, tmp_path / "taught", scale=0.5)) != plain
