"""Commits on threads of their own: the store is waited for beside the loop, so that neither a
slow disk nor a far store keeps answers, and engines, waiting.

A wave is one call, which writes its shards and then its manifest. Several waves are on their way
at once, and land in any order, which decides nothing: a wave's child waves are ready once it has
landed. What a call raises is raised where it would land.
"""

from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from types import TracebackType
from typing import Generic, Self, TypeVar

from schemas.manifest import Manifest

T = TypeVar("T")

AT_ONCE = 4
"""At 150 ms a wave, which a far store may take, 27 waves a second: more than one driver makes. Not
more, so that a disk with little room left is filled with whole waves, not with parts of many."""


class Commits(Generic[T]):
    """Waves on their way into the ledger, each with what its owner keeps of it."""

    def __init__(self, at_once: int = AT_ONCE) -> None:
        self._threads = ThreadPoolExecutor(at_once, thread_name_prefix="commit")
        self._going: dict[Future[Manifest], T] = {}
        """In the order in which they began."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Nothing goes on afterwards: calls that have not begun never do."""
        self._threads.shutdown(cancel_futures=True)

    def __len__(self) -> int:
        return len(self._going)

    def begin(self, whole: T, commit: Callable[[], Manifest]) -> None:
        """Have a wave committed, without waiting."""
        self._going[self._threads.submit(commit)] = whole

    def landed(self, timeout_s: float) -> list[tuple[T, Manifest]]:
        """Those that are committed, with the manifest that counts; waits up to so long for one."""
        if self._going:
            wait(self._going, timeout_s, FIRST_COMPLETED)
        ended = [future for future in self._going if future.done()]
        return [(self._going.pop(future), future.result()) for future in ended]

    def last(self) -> list[tuple[T, Manifest]]:
        """Give up those that have not begun; wait for the others."""
        self._going = {future: own for future, own in self._going.items() if not future.cancel()}
        wait(self._going)
        return self.landed(0)
