"""Create-if-absent when the answer may get lost: afterwards it is known what is there."""

from pipeline.storage.store import Store
from schemas.errors import AlreadyExists, NotFound, StoreError


def settle(store: Store, name: str, payload: bytes) -> bytes:
    """Create an object unless it is there; the bytes that are there afterwards, ours or not.

    Raises only while the outcome stays unknown, or when it is certain that nothing was made.
    """
    try:
        store.create(name, payload)
    except AlreadyExists:
        return store.read(name)
    except StoreError:
        return _look(store, name, payload)
    return payload


def _look(store: Store, name: str, payload: bytes) -> bytes:
    """After a failure of unknown outcome: what is there, or one more try where nothing is."""
    try:
        return store.read(name)
    except NotFound:
        pass
    try:
        store.create(name, payload)
    except AlreadyExists:
        return store.read(name)
    return payload
