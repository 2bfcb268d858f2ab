"""How a scripted engine hands out what is finished, where its config asks for faults in that."""

from collections.abc import Iterable

from schemas.records import Outcome

LATE_STEPS = 8
"""For how many steps an outcome is held back."""


class Delivery:
    """Holds some outcomes back, and hands some out twice."""

    def __init__(self, *, repeat_share: float, late_share: float) -> None:
        self._repeats, self._lates = _Share(repeat_share), _Share(late_share)
        self._held: dict[int, list[Outcome]] = {}
        """By the step that hands them out."""

    def __bool__(self) -> bool:
        return bool(self._held)

    def hand_out(self, step: int, finished: Iterable[Outcome]) -> list[Outcome]:
        """What leaves the engine in this step."""
        for outcome in finished:
            leaves = step + LATE_STEPS * self._lates.takes()
            self._hold(leaves, outcome)
            if self._repeats.takes():
                self._hold(leaves + 1, outcome)
        return self._held.pop(step, [])

    def _hold(self, step: int, outcome: Outcome) -> None:
        self._held.setdefault(step, []).append(outcome)


class _Share:
    """Takes a share of all, evenly, without chance."""

    def __init__(self, share: float) -> None:
        self._share, self._due = share, 0.0

    def takes(self) -> bool:
        self._due += self._share
        taken = self._due >= 1
        self._due -= taken
        return taken
