"""Trainees from directories: what is read from them, and what is none."""

import json

import numpy as np
import pytest
from safetensors.numpy import save_file

from jobs.trainee import load_trainee
from pipeline.dialects.derive import derive_dialect
from pipeline.dialects.tokenizer import load_tokenizer
from pipeline.engines.weights import weights_digest
from schemas.errors import ModelError
from tests.unit.dialects.chat_shapes import CHATML, build


@pytest.fixture
def model(tmp_path):
    """A model's directory, with no more than is read of it."""

    def of(config, folder=tmp_path / "model"):
        build(CHATML).save_pretrained(folder)
        (folder / "config.json").write_text(json.dumps(config))
        save_file({"w": np.ones(3, np.float32)}, folder / "model.safetensors")
        return folder

    return of


def test_trainee_is_known_by_the_digests_that_runs_name_it_by(model):
    folder = model({"max_position_embeddings": 77})
    trainee = load_trainee(str(folder))
    assert trainee.location == str(folder)
    assert trainee.dialect == derive_dialect(load_tokenizer(str(folder)))
    assert trainee.weights == weights_digest(str(folder))
    assert load_trainee(f"file://{folder}").location == str(folder)


@pytest.mark.parametrize(
    ("config", "context"),
    [
        ({"max_position_embeddings": 77}, 77),
        ({"n_positions": 78}, 78),
        ({"max_position_embeddings": 5, "text_config": {"max_position_embeddings": 79}}, 79),
        ({"text_config": {}, "max_position_embeddings": 80}, 80),
        ({}, 2**31 - 1),
    ],
)
def test_context_is_that_of_the_configuration(config, context, model):
    assert load_trainee(str(model(config))).context == context


@pytest.mark.parametrize("config", [{"max_position_embeddings": "many"}, []])
def test_configuration_that_makes_no_sense_is_refused(config, model):
    with pytest.raises(ModelError, match=r"config.json: .*Fetch the model again"):
        load_trainee(str(model(config)))


def test_adapter_is_refused_with_what_to_do(tmp_path):
    (tmp_path / "adapter_config.json").write_text('{"base_model_name_or_path": "models/base"}')
    with pytest.raises(ModelError, match=r"LoRA adapter, .*on models/base, call merge_and_unload"):
        load_trainee(str(tmp_path))


def test_packaged_model_that_was_not_prepared_says_how(tmp_path, monkeypatch):
    monkeypatch.setenv("ARBORIST_CACHE", str(tmp_path))
    with pytest.raises(ModelError, match="arborist prepare-model --only chat"):
        load_trainee("packaged")
