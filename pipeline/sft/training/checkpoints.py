"""The checkpoints of a training: which are whole, which is the newest, which are kept."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline.sft.training.provenance import NAME, Provenance, read
from schemas.errors import SpecError

PREFIX = "checkpoint-"


def whole(folder: Path) -> list[Path]:
    """The checkpoints in a folder that were written to their end, the newest last."""
    return sorted(filter(_is_whole, _all(folder)), key=_step)


def newest(folder: Path, made: Provenance) -> tuple[Path, Provenance] | None:
    """The one to go on from; refused if it was made of other things than are trained on now."""
    for checkpoint in reversed(whole(folder)):
        if (there := read(checkpoint)) is not None:
            refuse_other(checkpoint, made, there)
            return checkpoint, there
    return None


def refuse_other(place: Path, made: Provenance, there: Provenance) -> None:
    """`SpecError` names what decides weights and differs."""
    if differing := made.differing(there):
        shown = "; ".join(differing[:5])
        more = f" (and {len(differing) - 5} more)" if len(differing) > 5 else ""
        raise SpecError(
            f"{place}: made of other things than are asked for now: {shown}{more}. Expected the "
            "same to go on: give another `output`, change the spec back, or start anew (--anew), "
            "which deletes what is there."
        )


def mark(checkpoint: Path, pending: Mapping[str, Any], *, made: Provenance, keep: int) -> None:
    """Say that a checkpoint is whole, and delete those that it takes the place of."""
    # A draft of a model card, which an adapter is saved with.
    (checkpoint / "README.md").unlink(missing_ok=True)
    sizes = {
        file.relative_to(checkpoint).as_posix(): file.stat().st_size
        for file in sorted(checkpoint.rglob("*"))
        if file.is_file() and file.name != NAME
    }
    more = {"files": sizes, "steps": _step(checkpoint), "pending": dict(pending)}
    made.model_copy(update=more).write(checkpoint)
    for old in whole(checkpoint.parent)[:-keep]:
        _delete(old)


def sweep(folder: Path) -> None:
    """Delete what was only half written when its process was killed."""
    for checkpoint in _all(folder):
        if not _is_whole(checkpoint):
            _delete(checkpoint)


def _all(folder: Path) -> list[Path]:
    found = folder.glob(f"{PREFIX}*")
    return [one for one in found if one.is_dir() and one.name[len(PREFIX) :].isdigit()]


def _step(checkpoint: Path) -> int:
    return int(checkpoint.name[len(PREFIX) :])


def _is_whole(checkpoint: Path) -> bool:
    made = read(checkpoint)
    return made is not None and all(
        (checkpoint / name).is_file() and (checkpoint / name).stat().st_size == size
        for name, size in made.files.items()
    )


def _delete(checkpoint: Path) -> None:
    # The mark first, so that what is left of a deletion cut short is not taken for whole.
    (checkpoint / NAME).unlink(missing_ok=True)
    shutil.rmtree(checkpoint)
