"""When a job that ended is started again."""

from schemas.errors import RETRY

DONE, TO_MEND, STOPPED = 0, 2, 130
"""As `arborist` ends: sealed; something to mend in what was asked; stopped by a person."""

LOST = RETRY
"""What counts as the exit code of a job that could not tell one: its machine is gone."""

FINAL = (DONE, TO_MEND, STOPPED)
"""Those after which the same would come out."""


def is_worth_another(code: int) -> bool:
    """Whether the same job may end otherwise next time."""
    return code not in FINAL
