"""What a pilot foretold, beside what a run came to."""

from collections.abc import Iterator
from dataclasses import dataclass

from pipeline.report.status import Status
from schemas.estimate import Estimate, Range


@dataclass(frozen=True)
class Guess:
    """A number that a pilot foretold, and what it came to."""

    name: str
    low: float
    value: float
    high: float
    actual: float | None
    """Of a run that goes on, what it is on course for; None where nothing can be said yet."""

    @property
    def off(self) -> float | None:
        """By which part the actual number is larger than the foretold one."""
        return None if self.actual is None or not self.value else self.actual / self.value - 1

    @property
    def within(self) -> bool | None:
        """Whether it lies in the range that holds nine times out of ten."""
        return None if self.actual is None else self.low <= self.actual <= self.high


def guesses_of(pilot: Estimate, status: Status, *, done: bool) -> Iterator[Guess]:
    """Totals, then tokens by level; what a run is on course for is not known of every number."""
    yield _guess("candidates", pilot.candidates, status.expected_candidates)
    yield _guess("kept", pilot.kept, float(status.kept) if done else None)
    yield _guess("tokens", pilot.tokens, status.expected_tokens)
    yield _guess("hours", pilot.hours, status.expected_hours)
    yield _guess("GPU hours", pilot.gpu_hours, status.spent.gpu_hours if done else None)
    for foretold, level in zip(pilot.levels, status.levels, strict=False):
        yield _guess(f"tokens of level {level.level}", foretold.tokens, level.expected_tokens)


def _guess(name: str, found: Range, actual: float | None) -> Guess:
    return Guess(name, found.low, found.value, found.high, actual)
