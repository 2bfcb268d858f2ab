"""Pure functions over many items, here or on many machines: for work after a run.

Results depend on the functions and the items alone, never on where and when they ran.
"""

import tempfile
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

Item = TypeVar("Item")
Result = TypeVar("Result")
Array = npt.NDArray[np.void]
Split = Callable[[Item], Sequence[Array]]
"""Makes a table for each partition."""
Join = Callable[[Sequence[Array]], Array]
"""Makes one table of a partition's."""


class Tasks(Protocol):
    """Where functions run. They and the items are picklable."""

    width: int
    """How many run at once."""

    def map(self, work: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
        """The results, in the order of the items; a few are worked on ahead."""
        ...

    def shuffle(
        self, split: Split[Item], items: Iterable[Item], join: Join, partitions: int
    ) -> Iterator[Array]:
        """Split every item's table into partitions, and join each partition over all items."""
        ...

    def close(self) -> None:
        """End all. Idempotent."""
        ...


class LocalTasks:
    """Threads of this process; partitions that grow large wait in temporary files."""

    def __init__(self, width: int = 2, in_memory_bytes: int = 64 << 20) -> None:
        self.width, self._limit = width, in_memory_bytes
        self._threads = ThreadPoolExecutor(width)

    def map(self, work: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
        """One result after the other."""
        ahead: deque[Future[Result]] = deque()
        for item in items:
            ahead.append(self._threads.submit(work, item))
            if len(ahead) > self.width:
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()

    def shuffle(
        self, split: Split[Item], items: Iterable[Item], join: Join, partitions: int
    ) -> Iterator[Array]:
        """Partition after partition."""
        with tempfile.TemporaryDirectory(prefix="arborist-") as folder:
            parts = _Partitions(Path(folder), partitions, self._limit)
            for tables in self.map(split, items):
                parts.add(tables)
            for number in range(partitions):
                yield join(parts.take(number))

    def close(self) -> None:
        """End the threads."""
        self._threads.shutdown(wait=False, cancel_futures=True)


class _Partitions:
    """Tables by partition, in memory up to a limit."""

    def __init__(self, folder: Path, count: int, limit: int) -> None:
        self._folder, self._limit = folder, limit
        self._tables: list[list[Array]] = [[] for _ in range(count)]
        self._bytes = 0
        self._kind: Any = None

    def add(self, tables: Sequence[Array]) -> None:
        for waiting, table in zip(self._tables, tables, strict=True):
            waiting.append(table)
            self._bytes += table.nbytes
            self._kind = table.dtype
        if self._bytes > self._limit:
            self._write()

    def take(self, number: int) -> list[Array]:
        """All of a partition; it is forgotten here."""
        tables, self._tables[number] = self._tables[number], []
        file = self._file(number)
        if file.exists():
            tables.insert(0, np.fromfile(file, dtype=self._kind))
            file.unlink()
        return tables

    def _write(self) -> None:
        for number, tables in enumerate(self._tables):
            with self._file(number).open("ab") as file:
                for table in tables:
                    table.tofile(file)
            tables.clear()
        self._bytes = 0

    def _file(self, number: int) -> Path:
        return self._folder / str(number)
