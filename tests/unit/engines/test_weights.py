"""The identity of weights: any change of content changes it, and the place does not matter."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from pipeline.engines.weights import INDEX, weights_digest
from schemas.errors import ModelError


def write_weights(file: Path, tensors: dict[str, np.ndarray], note: str = "") -> None:
    """A safetensors file, by its specification."""
    header, offset = {"__metadata__": {"note": note}}, 0
    for name, values in tensors.items():
        end = offset + values.nbytes
        shape = list(values.shape)
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [offset, end]}
        offset = end
    spelled = json.dumps(header).encode()
    payload = b"".join(values.tobytes() for values in tensors.values())
    file.write_bytes(len(spelled).to_bytes(8, "little") + spelled + payload)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_text('{"model_type": "llama"}')
    write_weights(folder / "model.safetensors", tensors())
    return folder


def tensors(num_layers: int = 3, size: int = 1000) -> dict[str, np.ndarray]:
    return {f"layer.{i}": np.full(size, i, np.float32) for i in range(num_layers)}


def split_model(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    names = {f"layer.{i}": f"model-{i}.safetensors" for i in range(2)}
    for name, file in names.items():
        write_weights(folder / file, {name: np.ones(50, np.float32)})
    (folder / INDEX).write_text(json.dumps({"weight_map": names}))


def test_weights_digest_is_the_same_in_another_place(model, tmp_path):
    digest = weights_digest(str(model))
    copy = shutil.copytree(model, tmp_path / "elsewhere")
    assert weights_digest(f"file://{copy}") == digest
    (copy / "README.md").write_text("not weights")
    assert weights_digest(str(copy)) == digest


@pytest.mark.parametrize("position", [0, 1500, 2999])
def test_weights_digest_changes_with_any_value_of_a_small_model(model, position):
    before = weights_digest(str(model))
    changed = np.concatenate(list(tensors().values()))
    changed[position] += 1e-3
    parts = dict(zip(tensors(), np.split(changed, 3), strict=True))
    write_weights(model / "model.safetensors", parts)
    assert weights_digest(str(model)) != before


@pytest.mark.parametrize("layer", [0, 70, 119])
def test_weights_digest_of_a_large_file_changes_with_any_one_tensor(model, layer):
    large = tensors(num_layers=120, size=50_000)
    write_weights(model / "model.safetensors", large)
    before = weights_digest(str(model))
    large[f"layer.{layer}"] = large[f"layer.{layer}"] + np.float32(0.01)
    write_weights(model / "model.safetensors", large)
    assert weights_digest(str(model)) != before


def test_weights_digest_changes_with_header_and_config(model):
    digests = {weights_digest(str(model))}
    write_weights(model / "model.safetensors", tensors(), note="tuned")
    digests.add(weights_digest(str(model)))
    (model / "config.json").write_text('{"model_type": "llama", "rope_theta": 5}')
    digests.add(weights_digest(str(model)))
    assert len(digests) == 3


def test_weights_digest_of_a_split_model_covers_every_file(model):
    split_model(model)
    before = weights_digest(str(model))
    write_weights(model / "model-1.safetensors", {"layer.1": np.zeros(50, np.float32)})
    assert weights_digest(str(model)) != before


def test_weights_digest_without_a_file_that_the_index_names_says_so(model):
    split_model(model)
    (model / "model-1.safetensors").unlink()
    with pytest.raises(ModelError, match=r"1 of 2 .* model-1\.safetensors"):
        weights_digest(str(model))


def test_weights_digest_without_a_directory_says_so():
    with pytest.raises(ModelError, match="no such directory"):
        weights_digest("org/some-model")


@pytest.mark.parametrize("missing", ["config.json", "model.safetensors"])
def test_weights_digest_of_an_incomplete_directory_names_what_is_missing(model, missing):
    (model / missing).unlink()
    with pytest.raises(ModelError, match=missing.removeprefix("model")):
        weights_digest(str(model))


@pytest.mark.parametrize("cut", [4, 60, 9000])
def test_weights_digest_of_a_file_cut_short_says_so(model, cut):
    file = model / "model.safetensors"
    file.write_bytes(file.read_bytes()[:cut])
    with pytest.raises(ModelError, match="cut short"):
        weights_digest(str(model))
