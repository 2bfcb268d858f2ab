"""Work for tasks: functions that cross processes."""

from collections.abc import Sequence

import numpy as np

from schemas.errors import CorruptData

KIND = np.dtype([("number", "<i8"), ("of", "<i4")])


def square(number: int) -> int:
    return number * number


def refuse(number: int) -> int:
    raise CorruptData(f"number {number} is damaged")


def stumble(number: int) -> int:
    raise ZeroDivisionError(f"number {number}")


def by_remainder(partitions: int, number: int) -> list[np.ndarray]:
    """The numbers below one, a table a partition."""
    below = np.array([(n, number) for n in range(number)], dtype=KIND)
    return [below[below["number"] % partitions == p] for p in range(partitions)]


def add_up(tables: Sequence[np.ndarray]) -> np.ndarray:
    """All entries in order, so that the order of tables cannot show."""
    return np.sort(np.concatenate(tables), order=["number", "of"])
