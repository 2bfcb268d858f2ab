"""Which cohorts are taken, and by whom."""

from collections.abc import Set


class Claims:
    """What one driver knows of the claims to the cohorts of a run, its own among them.

    `living` are the attempts of all drivers that live.
    """

    def __init__(self, attempt: str) -> None:
        self._attempt = attempt
        self._numbers: dict[int, int] = {}
        """By cohort, that of the last claim."""
        self._holders: dict[int, str] = {}
        """By cohort, whose it is, where that can be told."""

    def number_of(self, cohort: int) -> int:
        """Of the last known claim to a cohort; -1 while there is none."""
        return self._numbers.get(cohort, -1)

    def learn(self, cohort: int, number: int, holder: str | None) -> None:
        """A claim was made or seen; an older one than is known says nothing."""
        if number > self.number_of(cohort):
            self._numbers[cohort] = number
            self._holders.pop(cohort, None)
            if holder is not None:
                self._holders[cohort] = holder

    def holder(self, cohort: int) -> str | None:
        """The attempt whose claim to a cohort counts, dead or alive."""
        return self._holders.get(cohort)

    def is_ours(self, cohort: int) -> bool:
        """Whether we claimed it, and nobody took it over since, as far as is known."""
        return self.holder(cohort) == self._attempt

    def free_number(self, cohort: int, living: Set[str]) -> int | None:
        """Under which number it may be claimed; None where a living driver holds it."""
        return None if self.holder(cohort) in living else self.number_of(cohort) + 1

    def reach(self, living: Set[str]) -> int:
        """One more than the highest cohort that a living driver holds."""
        return 1 + max((c for c, who in self._holders.items() if who in living), default=-1)
