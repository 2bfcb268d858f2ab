"""The rows of one part on disk: an Arrow file as `datasets` reads it, and what is known of them.

Examples are written as they come, so that memory does not grow with their number. The file and
what is known of it lie under a name made of all that decides them, and appear whole: who finds
them there need not make them again, and two processes that make them at once do no harm.
"""

import hashlib
import json
import os
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.sft.example import IGNORED, Example
from schemas.errors import StoreError

_ROWS_AT_ONCE = 512
_INTS, _FLOATS = pa.list_(pa.int32()), pa.list_(pa.float32())
_ROWS = {"input_ids": _INTS, "labels": _INTS, "learned": pa.int32()}
_TARGETS = {
    "target_at": _INTS,
    "target_ids": _INTS,
    "target_logprobs": _FLOATS,
    "target_tail": _FLOATS,
}

Arrays = Sequence[npt.NDArray[Any]]


@dataclass
class Counts:
    """What came of what a source has."""

    rows: int = 0
    """Those that can be trained on."""
    tokens: int = 0
    learned: int = 0
    """Tokens that carry loss."""
    bad: int = 0
    """Rows that could not be read."""
    bad_examples: list[dict[str, str]] = field(default_factory=list)
    """The first of them: `where` and `why`."""
    unlearned: int = 0
    """Rows left out because nothing in them carries loss."""
    cut: int = 0
    """Rows that were too long, and are not any more."""
    left_out: int = 0
    """Rows that were too long, and left out."""


@dataclass(frozen=True)
class PartRows:
    """A part's rows on disk."""

    file: Path
    counts: Counts
    digest: str
    """Of what is in them."""

    def sizes(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """The tokens of each row, and how many of them are learned."""
        lengths, learned = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
        with pa.memory_map(str(self.file)) as source, pa.ipc.open_stream(source) as batches:
            for batch in batches:
                lengths.append(np.diff(batch.column("input_ids").offsets.to_numpy()))
                learned.append(batch.column("learned").to_numpy())
        return np.concatenate(lengths).astype(np.int64), np.concatenate(learned).astype(np.int64)


def find(folder: Path, name: str) -> PartRows | None:
    """The rows of this name, if they are there and whole."""
    file = folder / f"{name}.arrow"
    try:
        about = json.loads((folder / f"{name}.json").read_bytes())
        whole = file.stat().st_size == about["bytes"]
        return PartRows(file, Counts(**about["counts"]), about["digest"]) if whole else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def write(
    folder: Path, name: str, examples: Iterator[Example], counts: Counts, *, targets: bool
) -> PartRows:
    """Put rows there, with their distributions if all have such; `counts` are of their source, and
    are complete when they are all written."""
    with _explained(folder):
        folder.mkdir(parents=True, exist_ok=True)
        half = folder / f".{name}-{uuid.uuid4().hex}"
        try:
            found = _write_rows(half, examples, targets=targets)
            size = half.stat().st_size
            about = {"counts": asdict(counts), "bytes": size, "digest": found}
            file = half.replace(folder / f"{name}.arrow")
            half.write_text(json.dumps(about, indent=1), encoding="utf-8")
            half.replace(folder / f"{name}.json")
        finally:
            half.unlink(missing_ok=True)
    return PartRows(file, counts, found)


def _write_rows(file: Path, examples: Iterator[Example], *, targets: bool) -> str:
    """Their digest."""
    total = hashlib.sha256()
    schema = pa.schema(_ROWS | (_TARGETS if targets else {}))
    with file.open("wb") as stream, pa.ipc.new_stream(stream, schema) as sink:
        while some := list(islice(examples, _ROWS_AT_ONCE)):
            columns = _columns(some) + (_target_columns(some) if targets else [])
            sink.write_batch(pa.record_batch(columns, schema=schema))
            for buffer in (buffer for column in columns for buffer in column.buffers()):
                total.update(buffer or b"")
        sink.close()
        stream.flush()
        os.fsync(stream.fileno())
    return total.hexdigest()


def _columns(examples: Sequence[Example]) -> list[Any]:
    labels = [np.where(e.learned, e.ids, np.int32(IGNORED)) for e in examples]
    return [
        _lists([e.ids for e in examples], np.int32),
        _lists(labels, np.int32),
        pa.array([int(e.learned.sum()) for e in examples], pa.int32()),
    ]


def _target_columns(examples: Sequence[Example]) -> list[Any]:
    found = [e.targets for e in examples]
    none = np.empty(0)
    return [
        _lists([none if t is None else t.at for t in found], np.int32),
        _lists([none if t is None else t.top.ids.ravel() for t in found], np.int32),
        _lists([none if t is None else t.top.logprobs.ravel() for t in found], np.float32),
        _lists([none if t is None else t.top.tail for t in found], np.float32),
    ]


def _lists(arrays: Arrays, kind: type[np.generic]) -> Any:
    offsets = np.cumsum([0, *map(len, arrays)], dtype=np.int32)
    return pa.ListArray.from_arrays(offsets, np.concatenate(arrays).astype(kind, copy=False))


@contextmanager
def _explained(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StoreError(
            f"{folder}: cannot write the rows to train on: {error.strerror or error}. Free some "
            "space or mend the permissions there, or name another `output`."
        ) from error
