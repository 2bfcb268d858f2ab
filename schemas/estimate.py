"""The estimate: what a pilot says of the run that it is a pilot of."""

from schemas.curation_spec import Strict
from schemas.manifest import Sealed


class Range(Strict):
    """A number that is not known, and where it lies nine times out of ten."""

    value: float
    low: float
    high: float


class LevelEstimate(Strict):
    """One level of the real run."""

    level: int
    role: str
    parents: Range
    candidates: Range
    kept: Range
    tokens: Range
    """Sampled for its candidates and about them."""
    hours: Range
    """Its share of the run's; shares add up, though levels may be grown side by side."""
    gpu_hours: Range
    cost: Range | None = None
    pilot_parents: int
    """What this comes from."""
    pilot_candidates: int


class Estimate(Sealed):
    """What a run will come to, by its pilot."""

    run_id: str
    """Of the real run."""
    pilot: str
    """The run id of the pilot."""
    made_at: float = 0.0
    """Seconds since 1970."""
    pilot_candidates: int
    levels: tuple[LevelEstimate, ...]
    candidates: Range
    kept: Range
    tokens: Range
    tokens_per_s: dict[str, float]
    """Of one engine of each group, in the pilot."""
    hours: Range
    gpu_hours: Range
    cost: Range | None = None
    """In the currency of execution.gpu_hour_price."""
    unknown: tuple[str, ...] = ()
    """What the pilot cannot tell, in sentences."""
