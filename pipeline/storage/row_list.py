"""Rows to grow from, any number of them: in memory while they are few, then in a file.

The file lies in the folder for temporary files, has no name, and ends with the process. It is read
and not mapped, so that what was once read takes no memory.
"""

import hashlib
import json
import os
import tempfile
from array import array
from collections.abc import Sequence
from typing import overload

from pipeline.storage.spill import IN_MEMORY_BYTES
from schemas.manifest import BadRow, RowCount
from schemas.records import Message, RootRow

EXAMPLES = 20
"""Bad rows that are kept."""

_BAD = b"bad\n"

_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode


class RowList(Sequence[RootRow]):
    """The good rows by index, and what was counted on the way. Filled first, then read."""

    def __init__(self, in_memory_bytes: int = IN_MEMORY_BYTES) -> None:
        # No bytes at all would stand for any number of them.
        self._spool = tempfile.SpooledTemporaryFile(max(1, in_memory_bytes))  # noqa: SIM115
        self._starts = array("q", [0])
        self._hash = hashlib.sha256()
        self._read_last = False
        self._good, self._bad = 0, 0
        self._examples: list[BadRow] = []

    def add(self, row: RootRow) -> None:
        """One more good row."""
        content = _content(row)
        self._hash.update(content)
        if self._read_last:
            self._spool.seek(0, os.SEEK_END)
            self._read_last = False
        size = self._spool.write(row.source.encode() + b"\n" + content)
        self._starts.append(self._starts[-1] + size)
        self._good += 1

    def add_bad(self, row: BadRow) -> None:
        """One more bad row."""
        self._hash.update(_BAD)
        self._bad += 1
        if len(self._examples) < EXAMPLES:
            self._examples.append(row)

    @property
    def row_count(self) -> RowCount:
        """How many there are, with the first bad ones."""
        return RowCount(good=self._good, bad=self._bad, examples=tuple(self._examples))

    @property
    def digest(self) -> str:
        """SHA-256 of what all rows say in their order, bad ones as such; not of where they lie."""
        return self._hash.hexdigest()

    def __len__(self) -> int:
        return self._good

    @overload
    def __getitem__(self, index: int) -> RootRow: ...

    @overload
    def __getitem__(self, index: slice) -> list[RootRow]: ...

    def __getitem__(self, index: int | slice) -> RootRow | list[RootRow]:
        if isinstance(index, slice):
            return [self._row(place) for place in range(*index.indices(self._good))]
        return self._row(range(self._good)[index])

    def _row(self, place: int) -> RootRow:
        start, stop = self._starts[place : place + 2]
        self._spool.seek(start)
        self._read_last = True
        source, _, content = self._spool.read(stop - start).partition(b"\n")
        text, system, messages, reference = json.loads(content)
        frame = tuple(Message(role, said) for role, said in messages)
        return RootRow(text, system, frame, reference, source.decode())


def is_text(row: RootRow) -> bool:
    """Whether all that a row says can be written down: half a character is no text."""
    try:
        row.source.encode()
        _content(row)
    except UnicodeEncodeError:
        return False
    return True


def _content(row: RootRow) -> bytes:
    """What a row says, on one line."""
    return _encode([row.text, row.system, row.messages, row.reference]).encode() + b"\n"
