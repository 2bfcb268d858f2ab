"""How long something was going on, from intervals that overlap."""

from bisect import bisect_left, bisect_right
from operator import itemgetter


class BusyTime:
    """The length of the union of intervals, in whatever order they come."""

    def __init__(self) -> None:
        self.total = 0.0
        self._apart: list[tuple[float, float]] = []
        """The union: intervals that do not touch, in order."""

    def add(self, start: float, stop: float) -> None:
        """One more interval; where a clock was set back, so that it ends before it starts, it has
        no length."""
        place, joined = self._joined(start, stop)
        self.total += self._gain(joined, place)
        self._apart[place] = [joined]

    def total_with(self, start: float, stop: float) -> float:
        """What the total would be with one more interval."""
        place, joined = self._joined(start, stop)
        return self.total + self._gain(joined, place)

    def _joined(self, start: float, stop: float) -> tuple[slice, tuple[float, float]]:
        """What an interval touches, and what they are together."""
        stop = max(start, stop)
        first = bisect_left(self._apart, start, key=itemgetter(1))
        last = bisect_right(self._apart, stop, key=itemgetter(0))
        touched = self._apart[first:last]
        if touched:
            start, stop = min(start, touched[0][0]), max(stop, touched[-1][1])
        return slice(first, last), (start, stop)

    def _gain(self, joined: tuple[float, float], place: slice) -> float:
        return joined[1] - joined[0] - sum(b - a for a, b in self._apart[place])
