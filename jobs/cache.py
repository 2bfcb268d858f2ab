"""The local cache of models that are made once on this machine."""

import os
from pathlib import Path


def cache_folder() -> Path:
    """Where the cache lies. ARBORIST_CACHE overrides its place."""
    return Path(os.environ.get("ARBORIST_CACHE") or Path.home() / ".cache" / "arborist")


def move_into_place(half_made: Path, location: Path) -> None:
    """Let a finished folder appear whole, open to all who share the cache."""
    # Temporary folders and safetensors files are private by default.
    half_made.chmod(0o755)
    for file in half_made.iterdir():
        file.chmod(0o644)
    try:
        half_made.rename(location)
    except OSError:
        # Another process was faster; what it made is as good.
        if not location.is_dir():
            raise
