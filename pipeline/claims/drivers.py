"""Which drivers live, as one of them can tell.

A driver promises to be heard of within its `claim_s`. It is dead once it kept silent for longer by
the observer's own clock, so that nobody's clock has to be right. Sooner, where it said that it
ends; where its process ran on this very machine and is gone; and where its last sign is so old by
the time of day that no clock can be so wrong.
"""

from collections.abc import Callable
from typing import NamedTuple

from schemas.claim import Claim, Driver, Heartbeat

ENDED = "it ended"
SKEW_S = 300.0
"""Clocks of two machines differ by less."""


class Now(NamedTuple):
    """The observer's clocks."""

    even: float
    """Passes evenly, and says nothing about other machines."""
    day: float
    """The time of day."""


class Seen(NamedTuple):
    """The last sign of life of a driver."""

    driver: Driver
    number: int
    """Of the heartbeat; -1 where only a claim was seen."""
    at: float
    """By the driver's clock."""
    ended: bool
    since: float
    """When it was seen first, by the observer's even clock."""


class Drivers:
    """What an observer knows of the drivers of a run."""

    def __init__(self, is_gone: Callable[[Driver], bool]) -> None:
        self._is_gone = is_gone
        """Whether it is certain that a driver's process runs no more."""
        self._seen: dict[str, Seen] = {}

    def number_of(self, attempt: str) -> int:
        """Of the last heartbeat that was seen; -1 while none was."""
        seen = self._seen.get(attempt)
        return -1 if seen is None else seen.number

    def hear(self, heartbeat: Heartbeat, now: Now) -> None:
        """A heartbeat was read; an older one than is known says nothing."""
        driver, number, ended = heartbeat.driver, heartbeat.number, heartbeat.state == "ended"
        if number > self.number_of(driver.attempt):
            self._seen[driver.attempt] = Seen(driver, number, heartbeat.at, ended, now.even)

    def meet(self, claim: Claim, now: Now) -> None:
        """A claim was read, which tells something only of a driver that is not known yet."""
        unheard = Seen(claim.driver, -1, claim.made_at, ended=False, since=now.even)
        self._seen.setdefault(claim.driver.attempt, unheard)

    def known(self, attempt: str) -> Driver | None:
        """The driver of an attempt."""
        seen = self._seen.get(attempt)
        return None if seen is None else seen.driver

    def death(self, attempt: str, now: Now) -> str | None:
        """Why a driver is taken for dead, in words; None while it lives. One that nothing is known
        of is dead."""
        seen = self._seen.get(attempt)
        if seen is None:
            return "nothing is known of it"
        if seen.ended:
            return ENDED
        if self._is_gone(seen.driver):
            return "its process is gone"
        return _silence(seen, now)

    def living(self, now: Now) -> frozenset[str]:
        """The attempts of those that are not dead."""
        return frozenset(attempt for attempt in self._seen if self.death(attempt, now) is None)

    def patience_s(self, attempt: str, now: Now) -> float:
        """How long it may keep silent from now on until it is taken for dead."""
        seen = self._seen.get(attempt)
        return 0.0 if seen is None else max(0.0, seen.since + seen.driver.claim_s - now.even)


def is_long_silent(driver: Driver, at: float, day: float) -> bool:
    """Whether its last sign of life is too old for any clock to be so wrong."""
    return day - at > driver.claim_s + SKEW_S


def _silence(seen: Seen, now: Now) -> str | None:
    silent_s, claim_s = now.even - seen.since, seen.driver.claim_s
    if silent_s > claim_s:
        return f"nothing was heard of it for {silent_s:.3g} s"
    if is_long_silent(seen.driver, seen.at, now.day):
        return f"its last sign of life is {now.day - seen.at:.0f} s old"
    return None
