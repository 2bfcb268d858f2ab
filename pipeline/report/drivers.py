"""Who works on a run: its drivers as they were heard of last, and the cohorts they hold."""

from collections.abc import Callable
from typing import NamedTuple

from pipeline.claims.drivers import is_long_silent
from pipeline.storage.claims import read_claims, read_heartbeats
from pipeline.storage.store import Store
from schemas.claim import Claim, Driver, Headway

ENDED = "ended"


class DriverStatus(NamedTuple):
    """One driver at one moment."""

    driver: Driver
    state: str
    """As it said last; `gone` where its process is, `silent` where it has not been heard of for
    much longer than it promised, and `claimed` where only its claims are there."""
    heard_s: float
    """How long ago it was heard of, as far as its clock and ours agree."""
    cohorts: tuple[int, ...]
    """That it holds and has not finished."""
    headway: Headway | None = None
    """As it said last; None where it said nothing of that."""

    @property
    def at_work(self) -> bool:
        """Whether it may be: it has not ended, nor is it known or taken to be dead."""
        return self.state not in (ENDED, "gone", "silent", "claimed")

    @property
    def stale(self) -> bool:
        """Whether it should have been heard of since, if its clock and ours agree."""
        return self.heard_s > self.driver.claim_s


def drivers_of(
    store: Store,
    is_whole: Callable[[int], bool],
    is_gone: Callable[[Driver], bool],
    now: float,
) -> tuple[DriverStatus, ...]:
    """Those that have not ended, and those that left cohorts behind, in order of their attempts.

    `is_whole` knows which cohorts are finished, and is asked only about those that are claimed;
    `is_gone` is sure that a process runs no more; `now` is the time of day.
    """
    found = read_claims(store, lambda cohort: None if is_whole(cohort) else -1)
    claims = [one.claim for one in found if one.claim is not None]
    heard = {beat.driver.attempt: beat for beat in read_heartbeats(store, lambda attempt: -1)}
    drivers = {claim.driver.attempt: claim.driver for claim in claims}
    drivers |= {attempt: beat.driver for attempt, beat in heard.items()}
    statuses = []
    for attempt, driver in sorted(drivers.items()):
        own = [claim for claim in claims if claim.driver.attempt == attempt]
        beat = heard.get(attempt)
        said, at = (beat.state, beat.at) if beat else ("claimed", _last_made(own))
        gone = said != ENDED and is_gone(driver)
        silent = said != ENDED and is_long_silent(driver, at, now)
        state = "gone" if gone else "silent" if silent else said
        held = tuple(sorted(claim.cohort for claim in own))
        if held or state not in (ENDED, "gone"):
            headway = beat.headway if beat else None
            statuses.append(DriverStatus(driver, state, max(0.0, now - at), held, headway))
    return tuple(statuses)


def _last_made(claims: list[Claim]) -> float:
    return max(claim.made_at for claim in claims)
