"""Bounds of the numbers in sections that say how work is run."""

from typing import Annotated

from pydantic import Field

MANY = 4096
"""Engines, workers: more of them than any driver can lead."""
A_YEAR_S = 366 * 86_400.0
"""The longest that anything may take; locks cannot wait for ever."""

Count = Annotated[int, Field(ge=1, le=2**31 - 1)]
Seconds = Annotated[float, Field(gt=0, le=A_YEAR_S)]
