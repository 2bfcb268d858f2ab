"""What becomes of an engine group that names servers."""

from pathlib import Path

import pytest
import yaml

from jobs.engine_factories import engine_factory, trial_of
from jobs.wiring import resolve
from pipeline.dialects.scripted import scripted_dialect
from schemas.errors import EnvironmentMismatch, ModelError
from schemas.execution_spec import RunSpec
from tests.completion_server import CompletionServer, running
from tests.tiny_llama import tiny_llama

GENERATION = """
recipe: tg-sft
seed: 3
model: {name: tiny, context: 256}
roots: {trees: 1, topics: [{text: You ask about trees.}]}
levels: [{role: user, fanout: 2, max_tokens: 12}]
"""


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_llama(tmp_path_factory.mktemp("tiny"))


def run_spec(model: Path, urls: list[str], **generation) -> RunSpec:
    group = {"backend": "server", "model": str(model), "server": {"urls": urls}}
    return RunSpec.model_validate(
        {
            "generation": yaml.safe_load(GENERATION) | generation,
            "execution": {
                "location": "memory://servers",
                "embedder": "hashing",
                "engines": {"main": group},
            },
        }
    )


def test_engines_are_spread_over_the_servers(model):
    """Each of these serves another model, and is named when it is refused."""
    with running(CompletionServer(shift=1)) as one, running(CompletionServer(shift=1)) as other:
        urls = [one.url, other.url]
        spec = run_spec(model, urls)
        make_engine = engine_factory("main", spec, resolve(spec).run_file)
        for incarnation in range(4):
            engine = make_engine(incarnation)
            with pytest.raises(ModelError, match=f"{urls[incarnation % 2]}: 'model' has another"):
                engine.start()
            engine.close()


def test_batch_invariance_is_not_to_be_had_from_a_server(model):
    spec = run_spec(model, ["http://127.0.0.1:9"], guarantee="batch-invariant")
    with pytest.raises(EnvironmentMismatch, match=r"batch-invariant .* cannot be written"):
        engine_factory("main", spec, resolve(spec).run_file)


def test_trial_is_what_stands_before_a_turn_of_the_run():
    dialect = scripted_dialect()
    trial = trial_of(dialect, seeded=True)
    assert trial.prompt.tolist() == [*dialect.start, *dialect.after_assistant]
    text = dialect.model_copy(update={"start": (), "after_assistant": (), "text_stop_ids": (258,)})
    assert trial_of(text, seeded=True).prompt.tolist() == [258]
