"""A model in a store: its files are listed, read in parts, and copied to this machine's disk."""

from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from hashlib import sha256
from typing import Any, TypeVar

from pipeline.storage.object_store import S3, Facts, FsspecStore
from schemas.errors import ModelError
from schemas.secrets import redacted

Span = tuple[int, int]
"""Begin and end, in a file."""
T = TypeVar("T")
R = TypeVar("R")

READERS = 32
"""Requests under way at once."""

FAR_BYTES = 512 << 10
"""Takes a store about as long as a request does."""
MOST_BYTES = 32 << 20
"""Asked for at once."""

_OTHER_FORMS = (".bin", ".pt", ".pth", ".gguf", ".onnx", ".h5", ".msgpack", ".tflite", ".ot")
"""Weights in forms that no engine here reads, and that often lie beside those that it does."""
WEIGHTS = ".safetensors"


def is_in_store(location: str) -> bool:
    """Whether a location is the URI of something that is no directory of this machine."""
    scheme, divider, _ = location.partition("://")
    return bool(divider) and scheme != "file"


class ModelFolder:
    """The files of one model below a URI."""

    def __init__(self, uri: str, storage_options: Mapping[str, Any] | None = None) -> None:
        options = dict(storage_options or {})
        if uri.partition("://")[0] in S3:
            # botocore has 10 connections by default, which is what readers would wait for.
            pool = {"max_pool_connections": READERS}
            options["config_kwargs"] = pool | options.get("config_kwargs", {})
        self._store = FsspecStore(uri, options)
        self.location = redacted(uri)

    @cached_property
    def facts(self) -> dict[str, Facts]:
        """Of what a model is loaded from, by name."""
        found = {name: facts for name, facts in self._store.facts().items() if _is_wanted(name)}
        if not found:
            raise ModelError(
                f"{self.location}: found nothing there; expected the files of a model, with "
                "config.json and *.safetensors, directly below this URI."
            )
        return found

    @cached_property
    def mark(self) -> str:
        """Names the folder with this very content."""
        content = [self.location, *(f"{name} {facts}" for name, facts in self.facts.items())]
        return sha256("\n".join(content).encode()).hexdigest()[:16]

    @property
    def base_name(self) -> str:
        """What people call the model."""
        return self.location.rstrip("/").rpartition("/")[2] or "model"

    def names(self) -> Sequence[str]:
        """Of the files directly in the folder, sorted."""
        return [name for name in self.facts if "/" not in name]

    def size(self, name: str) -> int:
        """Bytes of a file."""
        return self.facts[name].size

    def read(self, name: str, spans: Sequence[Span]) -> list[bytes]:
        """Parts of a file, many asked for at once."""
        asked = _joined(spans)
        payloads = with_many(lambda span: self._store.read_range(name, *span), asked)
        starts = [begin for begin, _ in asked]
        found = []
        for begin, end in spans:
            place = bisect_right(starts, begin) - 1
            found.append(payloads[place][begin - starts[place] : end - starts[place]])
        return found

    def read_range(self, name: str, start: int, stop: int) -> bytes:
        """One part of a file."""
        return self._store.read_range(name, start, stop)

    def is_still(self) -> bool:
        """Whether the folder is as it was when it was first looked at."""
        now = self._store.facts()
        return {name: facts for name, facts in now.items() if _is_wanted(name)} == self.facts


def with_many(work: Callable[[T], R], about: Iterable[T]) -> list[R]:
    """Done with many requests under way; the first error ends it."""
    with ThreadPoolExecutor(READERS, thread_name_prefix="model-reader") as readers:
        return list(readers.map(work, about))


def _joined(spans: Iterable[Span]) -> list[Span]:
    """In order; what lies close together is asked for together."""
    joined: list[Span] = []
    for begin, end in sorted(spans):
        first, last = joined[-1] if joined else (begin, -FAR_BYTES)
        if begin - last < FAR_BYTES and end - first <= MOST_BYTES:
            joined[-1] = first, max(last, end)
        else:
            joined.append((begin, end))
    return joined


def _is_wanted(name: str) -> bool:
    nested = "/" in name
    return not name.endswith(_OTHER_FORMS) and not (nested and name.endswith(WEIGHTS))
