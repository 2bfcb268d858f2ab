"""Preparing the packaged embedder."""

from pathlib import Path

import pytest

from jobs import prepare_embedder
from pipeline.embedders.load import embedder_digest
from schemas.errors import EnvironmentMismatch, ModelError


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ARBORIST_CACHE", str(tmp_path))
    return tmp_path


def test_prepare_returns_at_once_what_is_there(cache: Path):
    location = prepare_embedder.cached_embedder()
    location.mkdir(parents=True)
    assert prepare_embedder.prepare_embedder() == location
    assert list(location.iterdir()) == []


def test_prepare_without_the_package_says_what_to_install(cache: Path, monkeypatch):
    monkeypatch.setattr(prepare_embedder, "PACKAGE", "no_such_package_anywhere")
    with pytest.raises(EnvironmentMismatch, match=r"not installed.*arborist\[demo\]"):
        prepare_embedder.prepare_embedder()


def test_prepare_that_fails_leaves_nothing_behind(cache: Path, monkeypatch):
    package = cache / "broken_sentence_model"
    (package / "model").mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "model" / "model.safetensors").write_bytes(b"no such format")
    monkeypatch.syspath_prepend(str(cache))
    monkeypatch.setattr(prepare_embedder, "PACKAGE", package.name)
    with pytest.raises(ModelError, match=r"broken_sentence_model.*again"):
        prepare_embedder.prepare_embedder()
    assert list((cache / "embedders").iterdir()) == []


@pytest.mark.slow
def test_prepare_twice_gives_the_same_model(monkeypatch, tmp_path: Path):
    digests = set()
    for name in ("one", "other"):
        monkeypatch.setenv("ARBORIST_CACHE", str(tmp_path / name))
        location = prepare_embedder.prepare_embedder()
        digests.add(embedder_digest(str(location)))
        assert sum(file.stat().st_size for file in location.iterdir()) < 40 << 20
        assert [path.name for path in location.parent.iterdir()] == [prepare_embedder.NAME]
    assert len(digests) == 1
