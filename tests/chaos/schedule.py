"""Schedules of faults: from a seed, what goes wrong when in which attempt at which run."""

import random
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Literal, NamedTuple

from tests.chaos.shapes import SHAPES, shape_of

Where = Literal["store", "engine", "workers", "driver"]

STORE = {
    "failed before": 4,
    "failed after": 4,
    "killed before": 3,
    "killed after": 3,
    "delayed": 3,
    "landed late": 3,
    "stale listing": 3,
    "frozen listings": 3,
    "outage": 2,
    "paused": 1,
    "disk full": 2,
}
ENGINE = {
    "died": 4,
    "raised": 3,
    "raised at a request": 3,
    "answered twice": 4,
    "answered what nobody asked": 4,
    "answered late": 4,
    "failed to start": 2,
    "raised at its end": 2,
    "hung": 1,
    "hung in a step": 1,
    "hung at the start": 1,
    "lost an answer": 1,
}
WORKERS = {"measured late": 3, "raised while measuring": 2}
STOPS = ("told to drain", "told to abandon", "told to leave", "told to evict")
DRIVER = {"killed": 3, **dict.fromkeys(STOPS, 1), "clock jumped": 4, "budget": 2}
AT_START = ("failed to start", "hung at the start")
"""Come at an incarnation instead of a child."""
KINDS: dict[Where, dict[str, int]] = {
    "store": STORE,
    "engine": ENGINE,
    "workers": WORKERS,
    "driver": DRIVER,
}
"""With their weights. What takes the time of a deadline is drawn seldom."""

DAMAGE = {
    "shard changed": 2,
    "shard cut": 1,
    "shard gone": 2,
    "manifest changed": 2,
    "manifest gone": 2,
    "snapshot changed": 1,
    "snapshot gone": 1,
}
"""To committed files. The run is repaired then."""
ACTS = {**DAMAGE, "refined": 3, "refined with a withdrawal": 4}
ACTS_SHARE = 0.2
"""Of turns."""

_PLACES: dict[Where, int] = {"store": 8, "engine": 7, "workers": 1, "driver": 3}


class Fault(NamedTuple):
    """One thing that goes wrong in one attempt."""

    turn: int
    """Attempts of one turn run beside each other."""
    driver: int
    where: Where
    kind: str
    at: int
    """Which operation, finished child, tick ... it comes at."""
    size: int
    """Which incarnation of an engine, how many seconds a clock jumps ..."""

    @property
    def what(self) -> str:
        """Its kind by its full name."""
        return f"{self.where} {self.kind}"

    def __str__(self) -> str:
        who = f"turn {self.turn}, driver {self.driver}"
        return f"{who}: {self.what} (at {self.at}, size {self.size})"


class Act(NamedTuple):
    """Something done to a run that is no attempt: see `visits`."""

    turn: int
    """Before its attempts, or `beside` them."""
    kind: str
    beside: bool
    after: tuple[int, int, int]
    """How many objects its attempts create before files are damaged, before somebody looks for
    defects, and before what was found is repaired."""
    seed: int

    def __str__(self) -> str:
        when = f"beside its attempts after {self.after} objects" if self.beside else "before it"
        return f"turn {self.turn}, {when}: {self.kind} (seed {self.seed})"


class Schedule(NamedTuple):
    """Some turns with faults. A healthy attempt follows the last one."""

    seed: int
    shape: str
    seeded: bool
    """Without, every attempt's engines write other texts."""
    place: Literal["memory", "file"]
    drivers: tuple[int, ...]
    """By turn, how many work on the run beside each other."""
    replicas: int
    """Engines in a group."""
    seats: int
    """Children that an engine runs at once."""
    waves: int | None
    """In flight at most."""
    processes: int
    """That measure; 0: none but the driver's."""
    faults: tuple[Fault, ...]
    acts: tuple[Act, ...] = ()
    """One a turn; the last may come before the healthy attempt."""

    def __str__(self) -> str:
        head = (
            f"seed {self.seed}: {self.shape}{'' if self.seeded else ', without seeds'}, in "
            f"{self.place}, drivers by turn {self.drivers}, "
            f"{self.replicas} engine(s) of {self.seats} seats, waves {self.waves}, "
            f"{self.processes} worker process(es)"
        )
        return "\n  ".join([head, *map(str, self.faults), *map(str, self.acts)])

    def of(self, turn: int, driver: int) -> list[Fault]:
        """The faults of one attempt."""
        return [f for f in self.faults if (f.turn, f.driver) == (turn, driver)]

    def act(self, turn: int, *, beside: bool) -> Act | None:
        """What is done before a turn, or beside its attempts."""
        return next((a for a in self.acts if (a.turn, a.beside) == (turn, beside)), None)


def draw(seed: int) -> Schedule:
    """The schedule of a seed."""
    dice = random.Random(seed)
    shape = dice.choice(sorted(SHAPES))
    # A process takes a second to start.
    measured_apart = int(dice.random() < 0.03)
    turns = dice.randint(2, 3 if measured_apart else 8)
    drivers = tuple(dice.choices((1, 2, 3), (6, 2, 1), k=turns))
    return Schedule(
        seed=seed,
        shape=shape,
        seeded=dice.random() < 0.7,
        place=dice.choices(("memory", "file"), (4, 1))[0],
        drivers=drivers,
        replicas=dice.choice((1, 1, 2, 3)),
        seats=dice.choice((1, 2, 4, 64)),
        waves=dice.choice((None, 1, 2)),
        processes=measured_apart,
        faults=tuple(_draw_faults(dice, shape, drivers, processes=bool(measured_apart))),
        acts=tuple(_draw_acts(random.Random(f"acts of {seed}"), shape, len(drivers))),
    )


def _draw_acts(dice: random.Random, shape: str, turns: int) -> Iterator[Act]:
    for turn in range(turns + 1):
        if dice.random() < ACTS_SHARE:
            kind = dice.choices(list(ACTS), list(ACTS.values()))[0]
            # Nobody is there beside the healthy attempt.
            beside = turn < turns and dice.random() < 0.5
            most = shape_of(shape).operations // 3
            first, second, third = (dice.randint(0, most) if beside else 0 for _ in range(3))
            after = (first, first + second // 2, first + second // 2 + third // 2)
            yield Act(turn, kind, beside, after, dice.randrange(10**6))


def _draw_faults(
    dice: random.Random, shape: str, drivers: Sequence[int], *, processes: bool
) -> Iterator[Fault]:
    for turn, count in enumerate(drivers):
        for driver in range(count):
            for _ in range(dice.choices((0, 2, 4, 6, 9, 14), (1, 3, 4, 4, 2, 1))[0]):
                yield _draw_fault(dice, shape, turn, driver)
            if processes and dice.random() < 0.5:
                yield Fault(turn, driver, "workers", "killed", dice.randint(1, 3), 0)


def _draw_fault(dice: random.Random, shape: str, turn: int, driver: int) -> Fault:
    where = dice.choices(list(_PLACES), list(_PLACES.values()))[0]
    kinds = KINDS[where]
    kind = dice.choices(list(kinds), list(kinds.values()))[0]
    known = shape_of(shape)
    last = {"store": known.operations, "engine": known.children}.get(where, 20)
    last = 5 if kind in AT_START else last
    # Some of them early, as what would come late in an attempt that ended before never comes.
    early = dice.random() < (0.25 if where == "store" else 0.6)
    at = round(last ** dice.random()) if early else dice.randint(1, last)
    return Fault(turn, driver, where, kind, at, dice.randrange(1000))


def without_some(
    schedule: Schedule, fails: Callable[[Schedule], bool], deadline: float
) -> Schedule:
    """The schedule without those faults and acts that it fails without as well, one by one."""
    for one in (*schedule.acts, *schedule.faults):
        if time.monotonic() > deadline:
            break
        fewer = schedule._replace(
            faults=tuple(fault for fault in schedule.faults if fault is not one),
            acts=tuple(act for act in schedule.acts if act is not one),
        )
        if fails(fewer):
            schedule = fewer
    return schedule
