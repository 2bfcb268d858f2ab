"""The engines of one group as their pool sees them, and how long it has lacked one."""

import math
from dataclasses import dataclass, field

from pipeline.pool.dispatch import Dispatcher
from pipeline.pool.hosts import Host
from pipeline.pool.pool import GroupPlan
from schemas.errors import EngineError
from schemas.records import EngineReport, EngineStats

_FIRST_NOTE_S = 30.0
"""Who waits for places so long is told; and again each time when four times as long has passed."""


@dataclass
class Member:
    """A place in a group, and the engine incarnation that fills it."""

    name: str
    group: "Group"
    incarnation: int
    host: Host
    since: float
    """When it was launched, placed, told to load, loaded, given work, or last seen to advance."""
    placed: bool = False
    loading: bool = False
    """Whether it was told to load; those that have a place take turns."""
    load_s: float = 0.0
    """What it took to load."""
    report: EngineReport | None = None
    stats: EngineStats = field(default_factory=EngineStats)

    def __str__(self) -> str:
        return f"engine {self.name} (incarnation {self.incarnation})"

    @property
    def busy(self) -> bool:
        """Whether it works on anything."""
        return self.report is not None and self.group.dispatcher.holds(self.name) > 0


@dataclass
class Group:
    """One engine group."""

    plan: GroupPlan
    dispatcher: Dispatcher
    placed_at: float
    """When one of its engines was last seen to have a place; when it began, before that."""
    members: dict[str, Member] = field(default_factory=dict)
    launches: int = field(init=False)
    """How many more may be launched; one that is lost and paid for gives its launch back."""
    let_go: int = 0
    """Engines above the least that are not asked for, since there was no work for them."""
    queued_at: float = math.inf
    """When work was last seen to wait for an engine; before there was any, when it may come."""
    ever_loaded: bool = False
    cause: EngineError | None = None
    """What ended the last engine that it lost."""
    waits_since: float | None = None
    """When some engine of its least began to wait for a place; None where all have one."""
    note_after_s: float = _FIRST_NOTE_S

    def __post_init__(self) -> None:
        self.launches = self.plan.ceiling

    @property
    def live(self) -> bool:
        """Whether an engine has loaded."""
        return any(member.report for member in self.members.values())

    @property
    def placed(self) -> int:
        """How many engines have a place."""
        return sum(member.placed for member in self.members.values())

    @property
    def lacking(self) -> bool:
        """Whether some of its least have no place, and may get one."""
        hopeful = self.launches > 0 or self.placed < len(self.members)
        return hopeful and self.placed < self.plan.least

    def look(self, now: float, unseen: float) -> bool:
        """Note who has a place; whether it is time to tell that some wait for one.

        `unseen` is time in which nobody looked, so that a place may have been there.
        """
        self.placed_at += unseen
        self.queued_at += unseen
        if self.placed:
            self.placed_at = now
        if self.dispatcher.queued:
            self.queued_at, self.let_go = now, 0
        if not self.lacking:
            self.waits_since, self.note_after_s = None, _FIRST_NOTE_S
            return False
        self.waits_since = now if self.waits_since is None else self.waits_since
        due = now - self.waits_since >= self.note_after_s
        self.note_after_s *= 4 if due else 1
        return due

    def waiting(self) -> str:
        """How many engines have no place."""
        least, name = self.plan.least, self.plan.name
        return f"{least - self.placed} of {least} engines of group {name!r}"
