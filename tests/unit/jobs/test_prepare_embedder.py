"""Preparing the packaged embedder."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from jobs import prepare_embedder
from pipeline.embedders.load import embedder_digest
from schemas.errors import EnvironmentMismatch, ModelError
from tests.architecture.source import REPOSITORY
from tests.trying import THOROUGH

DIGEST = "5a7eb181a903e12e620a555ee2271a8312a74c626d29aee62a3d4113e5db1250"
"""Of what NAME and its number stand for, wherever it was made."""
DIGEST_OF_SAMPLE = "08e0e41876813c17b051add15ec3d402571e7141452591e23a65076cf649bb9a"
"""Of what is made in the same way of a part of the words."""


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


@pytest.mark.slow
def test_packaged_embedder_is_the_one_that_its_name_stands_for():
    location = prepare_embedder.prepare_embedder()
    assert sum(file.stat().st_size for file in location.iterdir()) < 40 << 20
    assert embedder_digest(str(location)) == DIGEST


MAKE = """
from jobs import prepare_embedder
prepare_embedder.PACKAGE = {package!r}
print(prepare_embedder.prepare_embedder())
"""
OLDER_MACHINE = {
    "ATEN_CPU_CAPABILITY": "avx2",
    "MKL_ENABLE_INSTRUCTIONS": "AVX2",
    "ONEDNN_MAX_CPU_ISA": "AVX2",
    "OPENBLAS_CORETYPE": "Haswell",
    "OPENBLAS_NUM_THREADS": "1",
}


@pytest.fixture
def sampled_package(tmp_path: Path) -> Path:
    """The package of the sentence model with a part of its words, distilled in a part of the time.

    All words where properties are tried thoroughly.
    """
    whole, package = prepare_embedder.packaged_sentence_model(), tmp_path / "sampled_sentence_model"
    (package / "model").mkdir(parents=True)
    (package / "__init__.py").touch()
    for file in whole.iterdir():
        (package / "model" / file.name).symlink_to(file)
    tokenizer = json.loads((whole / "tokenizer.json").read_bytes())
    words = tokenizer["model"]["vocab"].items()
    sample = {word: n for word, n in words if THOROUGH or n < 1000 or n % 15 == 0}
    tokenizer["model"]["vocab"] = sample
    (package / "model" / "tokenizer.json").unlink()
    (package / "model" / "tokenizer.json").write_text(json.dumps(tokenizer))
    return package


@pytest.mark.long
def test_machines_with_other_instructions_make_the_same_bytes(
    cache: Path, monkeypatch, sampled_package: Path
):
    """In float32 the last digits differ, and by them the digest and the id of every run."""
    monkeypatch.syspath_prepend(str(sampled_package.parent))
    monkeypatch.setattr(prepare_embedder, "PACKAGE", sampled_package.name)
    location = prepare_embedder.prepare_embedder()
    assert [path.name for path in location.parent.iterdir()] == [prepare_embedder.NAME]
    paths = os.pathsep.join([str(REPOSITORY), str(sampled_package.parent)])
    other = subprocess.run(
        [sys.executable, "-c", MAKE.format(package=sampled_package.name)],
        env=os.environ
        | OLDER_MACHINE
        | {"ARBORIST_CACHE": str(cache / "other"), "PYTHONPATH": paths},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    ).stdout.strip()
    assert other != str(location)
    expected = DIGEST if THOROUGH else DIGEST_OF_SAMPLE
    assert embedder_digest(other) == embedder_digest(str(location)) == expected
