"""What the engines of one driver did from when they had loaded until they were let go.

Such a file is for reports. Nothing of a run depends on it, and a driver that is killed leaves none.
"""

from typing import Annotated

from pydantic import Field

from schemas.curation_spec import Strict
from schemas.manifest import Amount, Moment, Sealed, Word

Seconds = Annotated[float, Field(ge=0, le=1e9)]


class EngineUse(Strict):
    """One engine, and those that replaced it under its name."""

    name: str
    up_s: Seconds
    """It was there."""
    at_work_s: Seconds
    """It had sequences, or sampled something within the same second."""
    prompt_tokens: Amount
    """That it was asked to read."""
    cached_tokens: Amount
    """Those of them that its prefix cache held already."""
    sampled_tokens: Amount


class EnginesUsed(Sealed):
    """All engines of a driver, once they are let go."""

    run_id: Word
    attempt: Word
    began_at: Moment
    """When the first of each group had loaded."""
    loading_s: Seconds
    """What that took."""
    engines: tuple[EngineUse, ...]
