"""When a run will end, and how that is known.

What is left, by the ledger, at the speed of which the drivers that work on it spoke last. Where no
such speed is known, nothing is said: a mean over a past with other engines would be a guess.
"""

from collections.abc import Sequence
from typing import NamedTuple

from pipeline.report.drivers import DriverStatus
from pipeline.report.status import Status


class Eta(NamedTuple):
    """An estimate."""

    seconds: float | None
    """None while it is unknown."""
    how: str
    """How it was made, or why there is none."""
    tokens_per_s: float | None = None
    """Of all drivers that are at work, of late."""


def eta_of(status: Status, drivers: Sequence[DriverStatus]) -> Eta:
    """Of a run that is not sealed."""
    at_work = [one for one in drivers if one.at_work]
    if not at_work:
        return Eta(None, _nobody(drivers))
    fresh = [one for one in at_work if not one.stale]
    if not fresh:
        least = min(one.heard_s for one in at_work)
        return Eta(None, f"nothing was heard of its drivers for {least:,.0f} s")
    growing = [one for one in fresh if one.state == "growing"]
    if not growing:
        return Eta(None, f"its drivers are {' and '.join(sorted({one.state for one in fresh}))}")
    if all(one.headway is None for one in growing):
        mean = status.tokens_per_s
        how = f"at {mean:,.1f} tokens/s, the mean of the run so far: its drivers tell no speed"
        return Eta(status.eta_s, how if status.eta_s is not None else "no wave is committed yet")
    silent = sum(one.state != "waiting" and _speed(one) is None for one in at_work)
    return _at_speed(status, growing, silent)


def _speed(one: DriverStatus) -> float | None:
    return one.headway.tokens_per_s if one.headway and not one.stale else None


def _at_speed(status: Status, growing: Sequence[DriverStatus], silent: int) -> Eta:
    """`silent` are the drivers that work, and tell no speed or are heard of no more."""
    told = [one.headway for one in growing if one.headway and one.headway.tokens_per_s is not None]
    if not told:
        return Eta(None, "its engines have not worked for long enough to tell their speed")
    speed = sum(one.tokens_per_s or 0.0 for one in told)
    if not speed:
        return Eta(None, "its engines sample nothing at present", speed)
    seconds = status.eta_at(speed)
    if seconds is None:
        return Eta(None, "no wave is committed yet", speed)
    over_s = max(one.over_s for one in told)
    of = "its driver" if len(told) == 1 else f"{len(told)} drivers"
    how = f"at {speed:,.1f} tokens/s, what {of} sampled over the last {over_s:.0f} s"
    if silent:
        how += f"; {silent} more may work, of which no speed is known"
    return Eta(seconds, how, speed)


def _nobody(drivers: Sequence[DriverStatus]) -> str:
    silent = sum(one.state == "silent" for one in drivers)
    return "no driver works on it" + (f", {silent} fell silent" if silent else "")
