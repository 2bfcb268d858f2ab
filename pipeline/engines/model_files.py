"""The files of a model, wherever they lie: what its digest is made of."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

Span = tuple[int, int]
"""Begin and end, in a file."""


class ModelFiles(Protocol):
    """The files directly in one model's folder."""

    @property
    def location(self) -> str:
        """Where they lie, for people."""
        ...

    def names(self) -> Sequence[str]:
        """Of all files, sorted."""
        ...

    def size(self, name: str) -> int:
        """Bytes of a file."""
        ...

    def read(self, name: str, spans: Sequence[Span]) -> list[bytes]:
        """Parts of a file."""
        ...


class LocalFiles:
    """Those in a directory of this machine."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @property
    def location(self) -> str:
        """The directory."""
        return str(self._folder)

    def names(self) -> list[str]:
        """Of all files, sorted."""
        return sorted(file.name for file in self._folder.iterdir() if file.is_file())

    def size(self, name: str) -> int:
        """Bytes of a file."""
        return (self._folder / name).stat().st_size

    def read(self, name: str, spans: Sequence[Span]) -> list[bytes]:
        """Parts of a file."""
        found = []
        with (self._folder / name).open("rb") as stream:
            for begin, end in spans:
                stream.seek(begin)
                found.append(stream.read(end - begin))
        return found
