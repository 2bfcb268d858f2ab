"""Where things lie below the output of a training."""

from pathlib import Path

CHECKPOINTS, MODEL, TENSORBOARD = "checkpoints", "model", "tensorboard"


def local(location: str) -> Path:
    """The folder that a location on this machine names."""
    return Path(location.removeprefix("file://")).expanduser()
