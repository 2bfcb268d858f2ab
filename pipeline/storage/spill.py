"""Arrays of many lengths, one after the other: in memory while they are few, then in a file.

The file lies in the folder for temporary files, has no name, and ends with the process.
"""

import tempfile
from collections.abc import Iterator, Sequence
from typing import Any, Generic, TypeVar

import numpy as np
import numpy.typing as npt

IN_MEMORY_BYTES = 64 << 20
_CHUNK = 1 << 22

Item = TypeVar("Item", bound=np.generic)


class Spill(Generic[Item]):
    """Append arrays, then read any of them."""

    def __init__(self, kind: type[Item], in_memory_bytes: int = IN_MEMORY_BYTES) -> None:
        self._kind, self._limit = np.dtype(kind), in_memory_bytes
        self._waiting: list[npt.NDArray[Any]] = []
        self._waiting_bytes = 0
        self._sizes: list[npt.NDArray[np.int64]] = []
        self._file: Any = None
        self._view: tuple[npt.NDArray[Any], npt.NDArray[np.int64]] | None = None

    def extend(self, flat: npt.NDArray[Item], sizes: Sequence[int] | npt.NDArray[np.int64]) -> None:
        """Add the arrays of these sizes that `flat` holds."""
        self._sizes.append(np.asarray(sizes, dtype=np.int64))
        self._waiting.append(flat)
        self._waiting_bytes += flat.nbytes
        self._view = None
        if self._waiting_bytes > self._limit:
            self._write()

    def __getitem__(self, index: int) -> npt.NDArray[Item]:
        """The array that was added as number `index`."""
        flat, ends = self._loaded()
        start = int(ends[index - 1]) if index else 0
        return flat[start : int(ends[index])]

    def chunks(self) -> Iterator[npt.NDArray[Item]]:
        """All arrays in their order, joined to large ones."""
        flat, _ = self._loaded()
        for start in range(0, len(flat), _CHUNK):
            yield flat[start : start + _CHUNK]

    def _loaded(self) -> tuple[npt.NDArray[Any], npt.NDArray[np.int64]]:
        if self._view is None:
            self._view = self._load()
        return self._view

    def _write(self) -> None:
        if self._file is None:
            self._file = tempfile.TemporaryFile()  # noqa: SIM115 - it lives as long as this
        for flat in self._waiting:
            flat.astype(self._kind, copy=False).tofile(self._file)
        self._waiting, self._waiting_bytes = [], 0

    def _load(self) -> tuple[npt.NDArray[Any], npt.NDArray[np.int64]]:
        ends = np.cumsum(np.concatenate([np.zeros(0, dtype=np.int64), *self._sizes]))
        if self._file is None:
            flat = np.concatenate([np.zeros(0, dtype=self._kind), *self._waiting])
            self._waiting = [flat]
            return flat, ends
        self._write()
        self._file.flush()
        return np.memmap(self._file, dtype=self._kind, mode="r"), ends
