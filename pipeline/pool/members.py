"""The engines of one group as their pool sees them, and how long it has lacked one."""

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
    """When it was launched, placed, loaded, given work, or last seen to advance."""
    placed: bool = False
    report: EngineReport | None = None
    stats: EngineStats = field(default_factory=EngineStats)

    def __str__(self) -> str:
        return f"engine {self.name} (incarnation {self.incarnation})"


@dataclass
class Group:
    """One engine group."""

    plan: GroupPlan
    dispatcher: Dispatcher
    placed_at: float
    """When one of its engines was last seen to have a place; when it began, before that."""
    members: dict[str, Member] = field(default_factory=dict)
    ever_loaded: bool = False
    cause: EngineError | None = None
    """What ended the last engine that it lost."""
    waits_since: float | None = None
    """When some engine of it began to wait for a place; None where all have one."""
    note_after_s: float = _FIRST_NOTE_S

    @property
    def live(self) -> bool:
        """Whether an engine has loaded."""
        return any(member.report for member in self.members.values())

    def look(self, now: float, unseen: float) -> bool:
        """Note who has a place; whether it is time to tell that some wait for one.

        `unseen` is time in which nobody looked, so that a place may have been there.
        """
        self.placed_at += unseen
        if any(member.placed for member in self.members.values()):
            self.placed_at = now
        if all(member.placed for member in self.members.values()):
            self.waits_since, self.note_after_s = None, _FIRST_NOTE_S
            return False
        self.waits_since = now if self.waits_since is None else self.waits_since
        due = now - self.waits_since >= self.note_after_s
        self.note_after_s *= 4 if due else 1
        return due

    def waiting(self) -> str:
        """How many engines have no place."""
        without = sum(not member.placed for member in self.members.values())
        return f"{without} of {self.plan.replicas} engines of group {self.plan.name!r}"
