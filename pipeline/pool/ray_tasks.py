"""Tasks on Ray: partitions are objects, which Ray keeps, moves and spills itself.

Functions and items cross pickled. What a lost machine worked on is done again by Ray.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeVar

from pipeline.pool.ray_connection import in_one_line, join_ray, leave_ray
from pipeline.pool.tasks import Join, Split, Table
from schemas.errors import ArboristError, PoolError

Item = TypeVar("Item")
Result = TypeVar("Result")

_AHEAD = 2
"""Calls in flight for each CPU."""


class RayTasks:
    """One Ray task for each call."""

    def __init__(self, address: str | None = None) -> None:
        """Joins Ray if it runs here, else `address` or RAY_ADDRESS, else starts it here."""
        join_ray(address)
        self._joined = True
        import ray

        self.width = max(1, int(ray.cluster_resources().get("CPU", 1)))

    def map(self, work: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
        """One result after the other."""
        import ray

        call = ray.remote(_call)
        pending = (call.remote(work, item) for item in items)
        yield from self._in_order(pending)

    def shuffle(
        self, split: Split[Item], items: Iterable[Item], join: Join, partitions: int
    ) -> Iterator[Table]:
        """A task for each item, then one for each partition."""
        import ray

        call = ray.remote(_split).options(num_returns=partitions)
        parts: list[list[Any]] = []
        for item in items:
            found = call.remote(split, item, partitions)
            parts.append([found] if partitions == 1 else found)
            if len(parts) >= _AHEAD * self.width:
                # The one so far back is most likely done, and so the queue stays short.
                ray.wait([parts[-_AHEAD * self.width][0]], fetch_local=False)
        joined = ray.remote(_join)
        yield from self._in_order(
            joined.remote(join, *(part[number] for part in parts)) for number in range(partitions)
        )

    def close(self) -> None:
        """Leave Ray."""
        if self._joined:
            self._joined = False
            leave_ray()

    def _in_order(self, pending: Iterator[Any]) -> Iterator[Any]:
        ahead: deque[Any] = deque()
        for ref in pending:
            ahead.append(ref)
            if len(ahead) > _AHEAD * self.width:
                yield _result(ahead.popleft())
        while ahead:
            yield _result(ahead.popleft())


def _call(work: Callable[[Any], Any], item: Any) -> Any:
    return work(item)


def _split(split: Split[Any], item: Any, partitions: int) -> Any:
    tables = split(item)
    return tables[0] if partitions == 1 else tuple(tables)


def _join(join: Join, *tables: Table) -> Table:
    found: Sequence[Table] = tables
    return join(found)


def _result(ref: Any) -> Any:
    import ray
    from ray.exceptions import RayError, RayTaskError

    try:
        return ray.get(ref)
    except RayTaskError as error:
        if isinstance(error.cause, ArboristError):
            raise error.cause from None
        raise PoolError(f"A task failed: {error.cause!r}") from error
    except RayError as error:
        raise PoolError(f"Ray lost a task: {in_one_line(error)}") from error
