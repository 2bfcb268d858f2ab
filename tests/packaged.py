"""The specs that come with the product, by what they ask for."""

from pathlib import Path

import yaml

from tests.architecture.source import REPOSITORY

_ALL = sorted((REPOSITORY / "jobs" / "specs").rglob("*.yaml"))


def specs_with(section: str) -> list[Path]:
    """Those that have a section: `generation`, `parts` (training), `arms` (experiments)."""
    return [file for file in _ALL if section in yaml.safe_load(file.read_text("utf-8"))]


assert len(_ALL) == sum(len(specs_with(name)) for name in ("generation", "parts", "arms"))
