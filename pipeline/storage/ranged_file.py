"""An object as a file that can be read from any place, a range at a time."""

import io
from collections.abc import Callable
from typing import Any

BLOCK_BYTES = 4 << 20
"""Asked for at once, where less is wanted."""


class RangedFile(io.RawIOBase):
    """Reads `size` bytes through a function of start and stop."""

    def __init__(self, size: int, read_range: Callable[[int, int], bytes]) -> None:
        self._size, self._read_range = size, read_range
        self._place = 0

    def readable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """It is."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a place; what is before the beginning is the beginning."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: self._size}[whence]
        self._place = max(0, base + offset)
        return self._place

    def readinto(self, buffer: Any) -> int:
        """Fill the buffer as far as there are bytes."""
        stop = min(self._size, self._place + len(buffer))
        if stop <= self._place:
            return 0
        payload = self._read_range(self._place, stop)
        buffer[: len(payload)] = payload
        self._place = stop
        return len(payload)


def buffered(size: int, read_range: Callable[[int, int], bytes]) -> io.BufferedReader:
    """The same, with so much asked for at once that small reads cost no request each."""
    return io.BufferedReader(RangedFile(size, read_range), BLOCK_BYTES)
