"""Sums over engines that come and go, and how fast a sum rises."""

from collections import deque
from collections.abc import Mapping
from typing import NamedTuple

from schemas.records import EngineStats

WINDOW_S = 60.0
LEAST_S = 5.0
"""Over less, a rate says nothing."""
APART_S = 1.0
"""Between two values that are kept."""


class Tokens(NamedTuple):
    """What engines have read and written."""

    sampled: int = 0
    prompt: int = 0
    cached: int = 0

    def since(self, before: "Tokens") -> "Tokens":
        """What came since; where a counter fell, another engine has begun from nothing."""
        fell = any(now < then for now, then in zip(self, before, strict=True))
        return self if fell else Tokens(*(n - b for n, b in zip(self, before, strict=True)))


class Totals:
    """Of all engines that there ever were; each counts by itself, and takes its count along."""

    def __init__(self) -> None:
        self._last: dict[str, Tokens] = {}
        self.tokens = Tokens()

    def see(self, engines: Mapping[str, EngineStats]) -> None:
        """Take in the counters of the live ones, by name."""
        found = {
            name: Tokens(one.tokens, one.prompt_tokens, one.cached_tokens)
            for name, one in engines.items()
        }
        for name, tokens in found.items():
            more = tokens.since(self._last.get(name, Tokens()))
            self.tokens = Tokens(*(a + b for a, b in zip(self.tokens, more, strict=True)))
        self._last = found

    def forget(self) -> None:
        """All engines were let go; those that come have the same names, and begin from nothing."""
        self._last = {}


class Rate:
    """How fast a sum rose within the last minute."""

    def __init__(self, window_s: float = WINDOW_S) -> None:
        self._window_s = window_s
        self._seen: deque[tuple[float, float]] = deque()

    def see(self, now: float, total: float) -> None:
        """The sum at a moment, by a clock that passes evenly."""
        if self._seen and now - self._seen[-1][0] < APART_S:
            return
        self._seen.append((now, total))
        # The last of those before the window says how the sum stood when it began.
        while len(self._seen) > 2 and self._seen[1][0] <= now - self._window_s:
            self._seen.popleft()

    @property
    def over_s(self) -> float:
        """What it is a mean of."""
        return self._seen[-1][0] - self._seen[0][0] if self._seen else 0.0

    @property
    def per_s(self) -> float | None:
        """None while too little time has passed."""
        if self.over_s < LEAST_S:
            return None
        return max(0.0, (self._seen[-1][1] - self._seen[0][1]) / self.over_s)
