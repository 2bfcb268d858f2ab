"""Finding out what lies at a location: the embedder, its digest, or what is wrong."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from pipeline.embedders import load
from pipeline.embedders.load import check_embedder, embedder_digest, load_embedder
from schemas.errors import ModelError

WORDS = ["[PAD]", "[UNK]", "bread", "oven", "flour", "sea", "ship", "sail"]


@pytest.fixture
def static_model(tmp_path: Path) -> Path:
    """A static model of a few words."""
    from model2vec import StaticModel
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace

    tokenizer = Tokenizer(WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()
    vectors = np.random.default_rng(0).normal(size=(len(WORDS), 16)).astype(np.float32)
    folder = tmp_path / "static"
    StaticModel(vectors, tokenizer, config={"model_type": "model2vec"}).save_pretrained(folder)
    return folder


def test_load_static_model_gives_means_of_its_vectors(static_model: Path):
    from model2vec import StaticModel

    texts = ["bread oven flour", "sea", "unknown words", "", "ship sail sail ship"]
    expected = StaticModel.from_pretrained(static_model).encode(texts, normalize=True)
    assert np.allclose(load_embedder(f"file://{static_model}").embed(texts), expected, atol=1e-6)


def test_load_static_model_of_few_vectors_gives_means_of_weighted_ones(static_model: Path):
    from model2vec import StaticModel, quantize_model

    reduced = quantize_model(
        StaticModel.from_pretrained(static_model), vocabulary_quantization=4, quantize_to="float16"
    )
    folder = static_model.parent / "reduced"
    reduced.save_pretrained(folder)
    texts = ["bread oven flour", "sea sea sail"]
    expected = reduced.encode(texts, normalize=True)
    vectors = load_embedder(str(folder)).embed(texts)
    assert vectors.dtype == np.float32
    assert np.allclose(vectors, expected, atol=5e-3)


def test_digest_is_of_content_and_not_of_place(static_model: Path):
    before = embedder_digest(str(static_model))
    elsewhere = static_model.parent / "elsewhere"
    shutil.copytree(static_model, elsewhere)
    (elsewhere / "README.md").write_text("other words")
    (elsewhere / ".cache").mkdir()
    assert embedder_digest(str(elsewhere)) == before


@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer.json", "config.json"])
def test_digest_changes_with_every_file_that_matters(static_model: Path, name: str):
    before = embedder_digest(str(static_model))
    file = static_model / name
    payload = bytearray(file.read_bytes())
    at = payload.rindex(b"}") if name.endswith(".json") else len(payload) - 1
    payload[at:at] = b" "
    file.write_bytes(payload)
    assert embedder_digest(str(static_model)) != before


def test_digest_of_hashing_is_its_version():
    assert embedder_digest("hashing") == "hashing-1"


def assert_refused(location: Path, *words: str) -> None:
    """All three doors say the same: where, what was found, what is expected."""
    for door in (load_embedder, embedder_digest, check_embedder):
        with pytest.raises(ModelError) as caught:
            door(str(location))
        assert all(word in str(caught.value) for word in (str(location), *words)), caught.value


def test_location_that_is_not_there_is_refused(tmp_path: Path):
    assert_refused(tmp_path / "none", "no such directory", "expected `hashing`, or a directory")


def test_location_that_is_a_file_is_refused(tmp_path: Path):
    file = tmp_path / "file"
    file.touch()
    assert_refused(file, "found a file")


def test_location_of_something_else_is_refused(tmp_path: Path):
    (tmp_path / "notes.txt").touch()
    assert_refused(tmp_path, "found notes.txt", "no modules.json")


@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer.json"])
def test_model_without_half_of_it_is_refused(static_model: Path, name: str):
    (static_model / name).unlink()
    assert_refused(static_model, "no weights" if name.startswith("model") else f"no {name}")


def test_config_that_is_no_json_is_refused(static_model: Path):
    (static_model / "config.json").write_text("{")
    assert_refused(static_model, "not JSON")


def test_weights_cut_short_are_refused_when_they_are_loaded(static_model: Path):
    weights = static_model / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:200])
    with pytest.raises(ModelError, match=rf"{static_model}: cannot be loaded .* again"):
        load_embedder(str(static_model))


def test_sentence_model_cut_short_is_refused_when_it_is_loaded(tmp_path: Path):
    modules = [
        {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"}
    ]
    (tmp_path / "modules.json").write_text(json.dumps(modules))
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    (tmp_path / "model.safetensors").write_bytes(b"cut short")
    with pytest.raises(ModelError, match=rf"{tmp_path}: cannot be loaded .* again"):
        load_embedder(str(tmp_path))


def test_package_that_is_missing_is_named(static_model: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(load, "find_spec", lambda name: None)
    with pytest.raises(ModelError, match="pip install model2vec"):
        load_embedder(str(static_model))
