"""The local cache of models that are made once on this machine."""

import os
import shutil
import tempfile
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path


def cache_folder() -> Path:
    """Where the cache lies. ARBORIST_CACHE overrides its place."""
    return Path(os.environ.get("ARBORIST_CACHE") or Path.home() / ".cache" / "arborist")


def made_once(location: Path, make: Callable[[Path], None]) -> Path:
    """The folder; made whole under another name first if it is not there."""
    if location.is_dir():
        return location
    location.parent.mkdir(parents=True, exist_ok=True)
    half_made = Path(tempfile.mkdtemp(prefix=f".{location.name}-", dir=location.parent))
    try:
        make(half_made)
        try:
            move_into_place(half_made, location)
        except OSError:
            # Another process was faster; what it made is as good.
            if not location.is_dir():
                raise
    finally:
        shutil.rmtree(half_made, ignore_errors=True)
    return location


def package_folders(package: str) -> list[Path] | None:
    """Where an installed package lies, without importing it; None if it is not installed."""
    found = find_spec(package)
    return None if found is None else list(map(Path, found.submodule_search_locations or []))


def move_into_place(half_made: Path, location: Path) -> None:
    """Let a finished folder appear whole, open to all."""
    # Temporary folders and safetensors files are private by default.
    half_made.chmod(0o755)
    for file in half_made.iterdir():
        file.chmod(0o644)
    half_made.rename(location)
