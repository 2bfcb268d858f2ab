"""The commands of Kubernetes and Slurm, which have to be there already."""

import shutil
import subprocess
from collections.abc import Sequence

from schemas.errors import ArboristError, EnvironmentMismatch

_PATIENCE_S = 120


def call(command: Sequence[str], given: str = "") -> str:
    """What a command prints, given something on its standard input; raises if it fails."""
    if shutil.which(command[0]) is None:
        raise EnvironmentMismatch(
            f"`{command[0]}` is not installed here, by which this is sent; submit from a machine "
            "that has it, or print what would be sent by --dry-run and send that."
        )
    try:
        done = subprocess.run(
            command, input=given, capture_output=True, text=True, timeout=_PATIENCE_S, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise ArboristError(
            f"`{' '.join(command)}` has not ended for {_PATIENCE_S} s; see to the connection."
        ) from error
    if done.returncode:
        said = " ".join(f"{done.stderr} {done.stdout}".split())[:800]
        raise ArboristError(f"`{' '.join(command)}` ended with {done.returncode}: {said}")
    return done.stdout
