"""What tests store in this process, and how it goes again."""

from collections.abc import Iterator
from contextlib import contextmanager

from fsspec.implementations.memory import MemoryFileSystem


@contextmanager
def forgotten() -> Iterator[None]:
    """What is stored at memory:// meanwhile is gone afterwards.

    fsspec has one place for all of a process, and looks at everything there for each object.
    """
    store, folders = MemoryFileSystem.store, MemoryFileSystem.pseudo_dirs
    before, before_folders = set(store), list(folders)
    try:
        yield
    finally:
        for path in set(store) - before:
            store.pop(path, None)
        folders[:] = before_folders
