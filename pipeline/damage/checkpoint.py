"""A model's directory: its tensors, and a copy of it in which some of them are others."""

import math
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from schemas.errors import ModelError

Alter = Callable[[str, Any], Any]
"""From a tensor's name and values to what it becomes; the same object where it stays."""

_OTHER_WEIGHTS = ("*.bin", "*.pt", "*.pth", "*.gguf", "*.h5", "*.msgpack", "*.onnx")
_OF_ANOTHER = ("damage.json", "arborist.json", "optimizer*", "scheduler*", "rng_state*", ".*")
"""What tells of the model that was, not of the one that is made."""


@dataclass(frozen=True)
class Change:
    """How far a copy is from its model."""

    tensors: int
    """That are others."""
    parameters: int
    """Values in them, changed or not."""
    changed: int
    """Values that are others."""
    relative: float
    """Norm of what was added to these tensors, over their own norm."""
    relative_to_all: float
    """The same over the norm of the whole model."""


class Checkpoint:
    """The tensors in the safetensors files of a directory."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._where: dict[str, Path] = {}

    def open(self) -> "Checkpoint":
        """Find what is there; a ModelError where nothing can be."""
        from safetensors import SafetensorError, safe_open

        for file in self._files():
            try:
                with safe_open(file, framework="pt") as tensors:
                    self._where |= dict.fromkeys(tensors.keys(), file)
            except SafetensorError as error:
                raise ModelError(
                    f"{file}: cannot be read as safetensors: {error}. Fetch the model again."
                ) from error
        return self

    @property
    def names(self) -> list[str]:
        """Of all tensors, sorted."""
        return sorted(self._where)

    def read(self, name: str) -> Any:
        """One tensor."""
        from safetensors import safe_open

        with safe_open(self._where[name], framework="pt") as tensors:
            return tensors.get_tensor(name)

    def rewritten(self, out: Path, alter: Alter) -> Change:
        """Write the whole model into an empty folder, each file like its original."""
        _copy_all_else(self.folder, out)
        sums = _Sums()
        for file in self._files():
            _rewrite(file, out / file.name, alter, sums)
        return sums.change()

    def _files(self) -> list[Path]:
        files = sorted(self.folder.glob("*.safetensors"))
        if not files:
            raise ModelError(
                f"{self.folder}: found no *.safetensors; expected a whole model, saved with "
                "save_pretrained()."
            )
        return files


class _Sums:
    """Of squares, in float64 and in the order of the files."""

    def __init__(self) -> None:
        self._tensors = self._parameters = self._changed = 0
        self._added = self._touched = self._all = 0.0

    def count(self, old: Any, new: Any) -> None:
        """A tensor and what it became."""
        if not old.is_floating_point():
            return
        before = old.double()
        norm = float(before.square().sum())
        self._all += norm
        if new is not old:
            self._tensors += 1
            self._parameters += old.numel()
            self._changed += int((new != old).sum())
            self._touched += norm
            self._added += float((new.double() - before).square().sum())

    def change(self) -> Change:
        """So far."""
        return Change(
            self._tensors,
            self._parameters,
            self._changed,
            math.sqrt(self._added / self._touched) if self._touched else 0.0,
            math.sqrt(self._added / self._all) if self._all else 0.0,
        )


def _rewrite(file: Path, out: Path, alter: Alter, sums: _Sums) -> None:
    from safetensors import safe_open
    from safetensors.torch import save_file

    tensors = {}
    with safe_open(file, framework="pt") as stored:
        for name in sorted(stored.keys()):
            old = stored.get_tensor(name)
            new = alter(name, old)
            sums.count(old, new)
            tensors[name] = new.contiguous()
        save_file(tensors, out, metadata=stored.metadata())


def _copy_all_else(source: Path, out: Path) -> None:
    left_out = (*_OTHER_WEIGHTS, *_OF_ANOTHER, "*.safetensors")
    for file in sorted(source.iterdir()):
        if file.is_file() and not any(file.match(pattern) for pattern in left_out):
            shutil.copyfile(file, out / file.name)
