"""What is read of a LoRA adapter, and its part in the identity of weights."""

import json
import shutil
from pathlib import Path

import pytest

from pipeline.engines.adapter import adapter_args
from pipeline.engines.weights import weights_digest
from schemas.errors import ModelError
from tests.adapters import write_adapter


@pytest.fixture
def model(tmp_path: Path) -> str:
    folder = write_adapter(tmp_path / "model")
    (folder / "config.json").write_text("{}")
    (folder / "adapter_model.safetensors").rename(folder / "model.safetensors")
    return str(folder)


@pytest.mark.parametrize(
    ("ranks", "room"),
    [
        ({"r": 1}, 1),
        ({"r": 2}, 8),
        ({"r": 64}, 64),
        ({"r": 257}, 320),
        ({"r": 4, "rank_pattern": {"k_proj": 30}}, 32),
        ({"r": 4, "rank_pattern": None}, 8),
    ],
)
def test_adapter_args_make_room_for_its_highest_rank(tmp_path, ranks, room):
    args = adapter_args(str(write_adapter(tmp_path, **ranks)))
    assert args["enable_lora"]
    assert args["max_lora_rank"] == room


@pytest.mark.parametrize("ranks", [{"r": None}, {"r": 0}, {"r": 4, "rank_pattern": {"a": "b"}}])
def test_adapter_args_of_ranks_that_are_none_say_so(tmp_path, ranks):
    with pytest.raises(ModelError, match=r"adapter_config\.json: found r: .*rank_pattern"):
        adapter_args(str(write_adapter(tmp_path, **ranks)))


def test_adapter_args_of_a_rank_beyond_vllms_say_what_to_do(tmp_path):
    with pytest.raises(ModelError, match=r"rank 1024.*Merge"):
        adapter_args(str(write_adapter(tmp_path, r=1024)))


def test_weights_digest_knows_models_with_adapters_apart(model, tmp_path):
    adapters = {
        "one": {},
        "other values": {"scale": 0.5},
        "other scaling": {"lora_alpha": 64},
    }
    digests = {weights_digest(model)}
    for name, settings in adapters.items():
        digests.add(weights_digest(model, str(write_adapter(tmp_path / name, **settings))))
    assert len(digests) == 1 + len(adapters)


def test_weights_digest_of_an_adapter_does_not_depend_on_places(model, tmp_path):
    adapter = write_adapter(tmp_path / "adapter")
    digest = weights_digest(model, str(adapter))
    copy = shutil.copytree(adapter, tmp_path / "elsewhere")
    config = json.loads((copy / "adapter_config.json").read_text())
    config["base_model_name_or_path"] = "nowhere"
    (copy / "adapter_config.json").write_text(json.dumps(config, indent=4))
    assert weights_digest(model, f"file://{copy}") == digest


@pytest.mark.parametrize("missing", ["adapter_config.json", "adapter_model.safetensors"])
def test_weights_digest_of_an_incomplete_adapter_names_what_is_missing(model, tmp_path, missing):
    adapter = write_adapter(tmp_path / "adapter")
    (adapter / missing).unlink()
    with pytest.raises(ModelError, match=f"found no {missing}; expected"):
        weights_digest(model, str(adapter))


def test_weights_digest_of_an_adapter_that_is_not_there_names_both_files(model):
    with pytest.raises(ModelError, match=r"adapter_config\.json and no adapter_model"):
        weights_digest(model, "org/adapter")
