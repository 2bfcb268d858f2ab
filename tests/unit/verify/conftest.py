"""A sound run on disk for each test, grown once a module."""

import shutil
from pathlib import Path

import pytest

from pipeline.storage.open import open_store
from pipeline.storage.store import Store


@pytest.fixture
def folder(sound: Path, tmp_path: Path) -> Path:
    """A copy of the module's sound run, to be damaged."""
    return shutil.copytree(sound, tmp_path / "run")


@pytest.fixture
def store(folder: Path) -> Store:
    """The same as a store."""
    return open_store(str(folder))
