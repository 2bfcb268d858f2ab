"""The waves in flight: what was asked, what came back, and which waves are whole."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import chain

from pipeline.tree.frontier import Parent
from pipeline.tree.recipe import LevelRule
from schemas.errors import PoolError
from schemas.measures import Measures
from schemas.records import Candidate, ChildKey, Failure, Kind, Outcome, Request
from schemas.wave_id import WaveId


@dataclass(frozen=True)
class Pace:
    """How much is in flight at once. Decides no rows."""

    engines: int
    """That there may be."""
    lease: int
    """Children that one engine holds at once."""
    slots: int
    """Children that one engine writes at once."""
    least_odds: float
    """That children which are asked ahead will be wanted."""
    waves: int | None = None
    """At most so many waves; None leaves it to the rule below."""

    def has_room(
        self, open_waves: int, pending: int, measuring: int = 0, *, live: int | None = None
    ) -> bool:
        """Whether another wave is needed, so that no engine runs dry while a wave ends.

        `live` are the engines that are there, where these may be fewer. `measuring` are the open
        waves that are at the workers: they give the engines nothing to do, but where workers are
        slower than engines they must not pile up.
        """
        enough = 2 * (self.engines if live is None else max(1, live))
        if measuring >= enough or (self.waves is not None and open_waves >= self.waves):
            return False
        return open_waves - measuring < enough or pending < enough * self.lease

    def idle_slots(self, busy: int, *, live: int) -> int:
        """What so many engines could write beside what they are asked for."""
        return max(0, live * self.slots - busy)


@dataclass(eq=False)
class OpenWave:
    """A wave that was asked for, and what is known of it so far."""

    wave: WaveId
    rule: LevelRule
    parents: list[Parent]
    requests: list[Request]
    opened_at: float
    asides: dict[Kind, list[Request]] = field(default_factory=dict)
    """Requests about its candidates; a kind that was gone through may have none."""
    outcomes: dict[ChildKey, Outcome] = field(default_factory=dict)
    candidates: list[Candidate] = field(default_factory=list)
    """In row order, once all are there."""
    drafts: dict[str, Candidate] = field(default_factory=dict)
    """By node id, those that were written again."""
    measures: Measures | None = None
    """Of the candidates, row by row, once they are measured."""
    missing: int = 0
    """Outcomes that are still to come."""
    gpus: float = 0.0
    """That engines held when it was opened."""

    @property
    def asked(self) -> int:
        """Children asked of its parents."""
        return sum(request.n for request in self.requests)


class Flight:
    """All open waves of one attempt, and how its requests fared."""

    def __init__(self) -> None:
        self._open: dict[str, OpenWave] = {}
        self.closed = 0
        """Waves that were open and are committed."""
        self._wave_of: dict[str, OpenWave] = {}
        """By the id of the node that a request is about."""
        self.pending = 0
        """Things asked for that have no outcome."""
        self.answered = 0
        self.failed = 0
        self.last_failure = ""

    @property
    def waves(self) -> int:
        """How many are open."""
        return len(self._open)

    def open(self, opened: OpenWave) -> None:
        """Take a wave in."""
        self._open[opened.wave.name] = opened
        self._expect(opened, opened.requests)

    def ask(self, opened: OpenWave, asides: list[Request]) -> None:
        """More is asked, about the candidates of an open wave."""
        self._expect(opened, asides)

    def _expect(self, opened: OpenWave, requests: list[Request]) -> None:
        self._wave_of |= dict.fromkeys((request.parent_id for request in requests), opened)
        asked = sum(request.n for request in requests)
        opened.missing += asked
        self.pending += asked

    def named(self, wave: str) -> OpenWave:
        """An open wave by its name."""
        return self._open[wave]

    def close(self, opened: OpenWave) -> None:
        """A wave is done with."""
        del self._open[opened.wave.name]
        self.closed += 1
        for request in chain(opened.requests, *opened.asides.values()):
            self._wave_of.pop(request.parent_id, None)

    def settle(self, outcomes: Iterable[Outcome]) -> list[OpenWave]:
        """Book outcomes; the waves that are whole now, in plan order."""
        whole = {}
        for outcome in outcomes:
            opened = self._book(outcome)
            if not opened.missing:
                whole[opened.wave] = opened
        return [whole[wave] for wave in sorted(whole)]

    def _book(self, outcome: Outcome) -> OpenWave:
        opened = self._wave_of.get(outcome.key.parent_id)
        if opened is None or outcome.key in opened.outcomes:
            raise PoolError(
                f"The pool gave a second or an unasked outcome for child {outcome.key.child_index} "
                f"of {outcome.key.parent_id}. This is a defect of the pool; the run is resumable."
            )
        opened.outcomes[outcome.key] = outcome
        opened.missing -= 1
        self.pending -= 1
        self.answered += 1
        if isinstance(outcome, Failure):
            self.failed += 1
            self.last_failure = f"{outcome.reason}: {outcome.message}"
        return opened
