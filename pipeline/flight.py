"""The waves in flight: what was asked, what came back, and which waves are whole."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from pipeline.tree.frontier import Parent
from pipeline.tree.recipe import LevelRule
from schemas.errors import PoolError
from schemas.records import ChildKey, Failure, Outcome, Request
from schemas.wave_id import WaveId


@dataclass(frozen=True)
class Pace:
    """How much is in flight at once. Decides no rows."""

    engines: int
    lease: int
    """Children that one engine holds at once."""
    waves: int | None = None
    """At most so many waves; None leaves it to the rule below."""

    def has_room(self, open_waves: int, pending: int) -> bool:
        """Whether another wave is needed, so that no engine runs dry while a wave ends."""
        if self.waves is not None and open_waves >= self.waves:
            return False
        return open_waves < 2 * self.engines or pending < 2 * self.engines * self.lease


@dataclass(eq=False)
class OpenWave:
    """A wave that was asked for."""

    wave: WaveId
    rule: LevelRule
    parents: list[Parent]
    requests: list[Request]
    opened_at: float
    outcomes: dict[ChildKey, Outcome] = field(default_factory=dict)
    asked: int = 0

    def __post_init__(self) -> None:
        self.asked = sum(request.n for request in self.requests)

    @property
    def whole(self) -> bool:
        """Whether every child has its outcome."""
        return len(self.outcomes) == self.asked


class Flight:
    """All open waves of one attempt, and how its requests fared."""

    def __init__(self) -> None:
        self._wave_of: dict[str, OpenWave] = {}
        """By parent id."""
        self.waves = 0
        self.pending = 0
        """Children without an outcome."""
        self.answered = 0
        self.failed = 0
        self.last_failure = ""

    def open(self, opened: OpenWave) -> None:
        """Take a wave in."""
        self._wave_of |= dict.fromkeys((p.node_id for p in opened.parents), opened)
        self.waves += 1
        self.pending += opened.asked

    def settle(self, outcomes: Iterable[Outcome]) -> list[OpenWave]:
        """Book outcomes; the waves that are whole now leave the flight, in plan order."""
        whole = {}
        for outcome in outcomes:
            opened = self._book(outcome)
            if opened.whole:
                whole[opened.wave] = opened
        for opened in whole.values():
            for parent in opened.parents:
                del self._wave_of[parent.node_id]
        self.waves -= len(whole)
        return [whole[wave] for wave in sorted(whole)]

    def _book(self, outcome: Outcome) -> OpenWave:
        opened = self._wave_of.get(outcome.key.parent_id)
        if opened is None or outcome.key in opened.outcomes:
            raise PoolError(
                f"The pool gave a second or an unasked outcome for child {outcome.key.child_index} "
                f"of {outcome.key.parent_id}. This is a defect of the pool; the run is resumable."
            )
        opened.outcomes[outcome.key] = outcome
        self.pending -= 1
        self.answered += 1
        if isinstance(outcome, Failure):
            self.failed += 1
            self.last_failure = f"{outcome.reason}: {outcome.message}"
        return opened
