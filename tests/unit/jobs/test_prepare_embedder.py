"""Preparing the packaged embedder."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from jobs import prepare_embedder
from pipeline.embedders.load import embedder_digest
from schemas.errors import EnvironmentMismatch, ModelError

DIGEST = "5a7eb181a903e12e620a555ee2271a8312a74c626d29aee62a3d4113e5db1250"
"""Of what NAME and its number stand for, wherever it was made."""


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
    with pytest.raises(EnvironmentMismatch, match=r"not installed.*arborist\[embedder\]"):
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


MAKE = """
import os
os.environ["ARBORIST_CACHE"] = {cache!r}
from jobs.prepare_embedder import prepare_embedder
print(prepare_embedder())
"""
OLDER_MACHINE = {
    "ATEN_CPU_CAPABILITY": "avx2",
    "MKL_ENABLE_INSTRUCTIONS": "AVX2",
    "ONEDNN_MAX_CPU_ISA": "AVX2",
    "OPENBLAS_CORETYPE": "Haswell",
    "OPENBLAS_NUM_THREADS": "1",
}


@pytest.mark.slow
def test_machines_with_other_instructions_make_the_same_bytes(monkeypatch, tmp_path: Path):
    """In float32 the last digits differ, and by them the digest and the id of every run."""
    monkeypatch.setenv("ARBORIST_CACHE", str(tmp_path / "one"))
    location = prepare_embedder.prepare_embedder()
    assert sum(file.stat().st_size for file in location.iterdir()) < 40 << 20
    assert [path.name for path in location.parent.iterdir()] == [prepare_embedder.NAME]
    other = subprocess.run(
        [sys.executable, "-c", MAKE.format(cache=str(tmp_path / "other"))],
        cwd=Path(__file__).parents[3],
        env=os.environ | OLDER_MACHINE,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    ).stdout.strip()
    assert other != str(location)
    assert embedder_digest(other) == embedder_digest(str(location)) == DIGEST
