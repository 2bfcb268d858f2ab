"""A store as far away as one likes."""

import time
from collections.abc import Callable
from functools import partial

from pipeline.storage.store import Store


class SlowStore:
    """Waits before each operation, as one waits for a store behind a network."""

    def __init__(self, store: Store, *, put_s: float, get_s: float) -> None:
        self._store, self._put_s, self._get_s = store, put_s, get_s

    @classmethod
    def before(cls, *, put_s: float, get_s: float) -> Callable[[Store], Store]:
        """Puts such a way before a store."""
        return partial(cls, put_s=put_s, get_s=get_s)

    @property
    def location(self) -> str:
        return self._store.location

    def read(self, name: str) -> bytes:
        time.sleep(self._get_s)
        return self._store.read(name)

    def create(self, name: str, payload: bytes) -> None:
        time.sleep(self._put_s)
        self._store.create(name, payload)

    def list(self, prefix: str) -> list[str]:
        time.sleep(self._get_s)
        return self._store.list(prefix)

    def delete(self, name: str) -> None:
        time.sleep(self._put_s)
        self._store.delete(name)
