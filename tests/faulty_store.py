"""A store that fails at its n-th operation, for tests that crash a run everywhere."""

import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Literal, TypeVar

from pipeline.storage.store import Store
from schemas.errors import StoreError

T = TypeVar("T")

Mode = Literal["before", "after", "killed before", "killed after"]
"""`before`: nothing was done. `after`: it was done and the answer is lost. `killed`: so, and the
process is dead: whatever it tries with the store from then on is not done either."""

MODES: tuple[Mode, ...] = ("before", "after", "killed before", "killed after")


class Killed(BaseException):
    """The process ends here; no handler for errors may run on."""


class FaultyStore:
    """Hands operations on to a store; the `fail_at`-th one (from 1) fails. 0 only counts."""

    def __init__(self, store: Store, fail_at: int = 0, mode: Mode = "before") -> None:
        self._store, self._fail_at, self._mode = store, fail_at, mode
        self._lock = threading.Lock()
        self.operations: list[str] = []
        """What was asked for so far, as `create nodes/x.parquet`."""

    @property
    def location(self) -> str:
        return self._store.location

    @property
    def failed(self) -> bool:
        """Whether it came to the operation that fails."""
        return 0 < self._fail_at <= len(self.operations)

    def read(self, name: str) -> bytes:
        return self._run(f"read {name}", lambda: self._store.read(name))

    def create(self, name: str, payload: bytes) -> None:
        self._run(f"create {name}", lambda: self._store.create(name, payload))

    def list(self, prefix: str) -> list[str]:
        return self._run(f"list {prefix}", lambda: self._store.list(prefix))

    def delete(self, name: str) -> None:
        self._run(f"delete {name}", lambda: self._store.delete(name))

    def _run(self, what: str, operation: Callable[[], T]) -> T:
        with self._lock:
            self.operations.append(what)
            number = len(self.operations)
        kills = self._mode.startswith("killed")
        if kills and 0 < self._fail_at < number:
            raise Killed(f"operation {number} ({what}) after the death")
        if number != self._fail_at:
            return operation()
        if self._mode.endswith("after"):
            # That there is nothing, or something already, is an answer, and lost like others.
            with suppress(StoreError):
                operation()
        raise (Killed if kills else StoreError)(f"operation {number} ({what}) fails as planned")
