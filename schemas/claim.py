"""The files by which drivers keep out of each other's way: heartbeats and claims.

They are advice. What is committed is said by manifests alone, and a run loses nothing where these
files are missing, damaged or old; some of its work may then be done twice.
"""

from typing import Annotated, Literal

from pydantic import Field

from schemas.curation_spec import Strict
from schemas.execution_spec import BudgetSpec
from schemas.manifest import Amount, Moment, Sealed, Word

Number = Annotated[int, Field(ge=0, le=2**31 - 1)]
State = Literal["loading", "growing", "waiting", "ended"]


class Driver(Strict):
    """One process that works on a run, and where it lives."""

    attempt: Word
    host: str
    """As people call its machine."""
    machine: str
    """Its kernel since it was started, and what tells process ids apart there; empty where that
    is not known."""
    pid: Number
    born: Annotated[int, Field(ge=0)] | None = None
    """When the process began, as its kernel counts; process ids come again."""
    claim_s: Annotated[float, Field(gt=0)]
    """It lets itself be heard of within this time, or is taken for dead."""


class Headway(Strict):
    """How a driver gets on, by its own count."""

    live: Number
    """Engines that have loaded."""
    loading: Number
    waiting: Number
    """Engines that have no place."""
    replaced: Number
    """Engines that were lost and replaced."""
    waves_open: Number
    waves: Amount
    """That it committed."""
    asked: Amount
    """Candidates of these."""
    failed: Amount
    """Those of them whose request failed."""
    tokens_per_s: Annotated[float, Field(ge=0, le=1e12)] | None = None
    """That its engines sampled of late; None while too little time has passed to say."""
    over_s: Annotated[float, Field(ge=0, le=1e9)] = 0.0
    """So long that is: a minute, or less where it began later."""
    budget: BudgetSpec = BudgetSpec()
    """By which it may end the run sooner."""


class Heartbeat(Sealed):
    """A driver lives; the one with the highest number is its last."""

    driver: Driver
    number: Number
    at: Moment
    """By the driver's own clock."""
    state: State
    headway: Headway | None = None
    """None while it has no engines, and where an older version wrote it."""


class Claim(Sealed):
    """A driver works on a cohort; the claim with the highest number is the one that counts."""

    cohort: Number
    number: Number
    """How many claims to it came before."""
    driver: Driver
    made_at: Moment
