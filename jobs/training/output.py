"""The output of a training as a folder: who works there, what is there already, what goes."""

import fcntl
import importlib.util
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from schemas.errors import EnvironmentMismatch, LocationError, SpecError

ROWS, LAUNCH = "rows", "launch"
_OURS = (ROWS, LAUNCH, "checkpoints", "model", ".model.partial", ".merged", "tensorboard")
_FILES = ("before.json", "report.json", "report.html")
_NEEDED = ("accelerate", "datasets", "peft", "torch", "trl")


def check_installed() -> None:
    """Refuse to begin without the trainer's packages."""
    missing = [name for name in _NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise EnvironmentMismatch(
            f"not installed: {', '.join(missing)}; install the trainer with "
            '`pip install "arborist[sft]"`.'
        )


def stay_offline() -> None:
    """Models and data come from directories; nothing is looked up, nothing is reported."""
    for name in ("HF_HUB_OFFLINE", "HF_HUB_DISABLE_TELEMETRY", "HF_DATASETS_OFFLINE"):
        os.environ.setdefault(name, "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")


@contextmanager
def alone(output: Path) -> Iterator[None]:
    """Nobody else may train into the same folder meanwhile."""
    try:
        output.mkdir(parents=True, exist_ok=True)
        lock = (output / ".lock").open("w")
    except OSError as error:
        raise LocationError(f"output: {output} cannot be written: {error.strerror}.") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise LocationError(
                f"output: another training is going on in {output}; wait for it, or give another "
                "folder."
            ) from error
        yield


def clear(output: Path) -> None:
    """Delete what earlier attempts left, and nothing else; prepared rows stay."""
    known = {".lock", *_OURS, *_FILES, *(f".{name}" for name in _FILES)}
    strangers = sorted(file.name for file in output.iterdir() if file.name not in known)
    if strangers:
        raise LocationError(
            f"--anew: {output} also holds {', '.join(strangers[:5])}, which no training put there; "
            "move that away, or give another `output`."
        )
    for name in _OURS:
        if name != ROWS:
            shutil.rmtree(output / name, ignore_errors=True)
    for name in _FILES:
        (output / name).unlink(missing_ok=True)


def check_resumable(output: Path) -> None:
    """Refuse to go on where there is nothing to go on from."""
    if not list(output.glob("checkpoints/checkpoint-*/arborist.json")):
        raise SpecError(
            f"--resume: found no whole checkpoint below {output}, expected one; without --resume "
            "the training begins at its start."
        )
