"""A run in virtual time: how long engines, driver and store take together, from what each costs.

The events are turns that end, waves that arrive at engines, and commits that land. What is simpler
than the run itself:

- engines are one lot of slots, in which a turn takes its length over the speed of a slot; so work
  goes where there is room, as leases and stealing have it, and prefills are part of the speed;
- everything that is asked is kept as the fan-outs say, so waves have their planned sizes;
- the driver does one thing at a time: it opens waves, and takes whole waves in. It may be late.
"""

import heapq
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from math import ceil, exp
from random import Random
from typing import NamedTuple

COMMITS_AT_ONCE = 4


class Engines(NamedTuple):
    """All engines of one driver."""

    count: int
    rate: float
    """Tokens a second of a full one."""
    slots: int
    tokens: float
    """Mean length of a turn."""
    sigma: float = 0.5
    """Spread of the log-normal lengths."""
    most: int = 2048
    """Tokens of a turn, at most."""
    step: int = 1
    """A turn takes a whole number of steps of so many tokens."""


class Costs(NamedTuple):
    """What a driver and its store take, in seconds."""

    node_s: float
    """The driver's own thread, for a candidate; and for the engines' place, such as Ray."""
    put_s: float
    get_s: float
    puts_per_wave: float = 4.0
    """Shards and manifest, one after the other, on a thread beside the driver."""
    open_s: float = 0.0
    """The driver's own work for a new cohort, beside the store."""


class Tree(NamedTuple):
    """How a cohort grows."""

    trees: int
    """Of a cohort."""
    levels: tuple[tuple[int, int], ...]
    """By level, how many children of a node are asked for, and how many are kept."""
    wave: int
    """Candidates of a wave, at most."""

    @property
    def candidates(self) -> int:
        """Of a cohort."""
        return sum(size for size, _, _ in self.waves())

    def waves(self) -> Iterator[tuple[int, int, int]]:
        """Candidates, level and parents of all waves of a cohort."""
        waiting = [(0, self.trees)]
        while waiting:
            level, parents = waiting.pop()
            asked, kept = self.levels[level]
            yield parents * asked, level, parents
            if level + 1 < len(self.levels):
                waiting += [(level + 1, block) for block in self.blocks(level + 1, parents * kept)]

    def blocks(self, level: int, frontier: int) -> list[int]:
        """The parents of each wave that a frontier is cut into."""
        block = max(1, self.wave // self.levels[level][0])
        return [min(block, frontier - first) for first in range(0, frontier, block)]


@dataclass(slots=True, eq=False)
class _Wave:
    cohort: int
    level: int
    parents: int
    size: int
    missing: int


class Timed(NamedTuple):
    """A run that was gone through."""

    seconds: float
    candidates: int
    waves: int
    driver_s: float
    """Of them, those in which the driver worked or waited for the store."""


_END, _ARRIVE, _LAND, _WAKE = range(4)


@dataclass
class Simulation:
    """One driver's run of so many cohorts."""

    tree: Tree
    engines: Engines
    costs: Costs
    cohorts: int
    _events: list[tuple[float, int, int, _Wave | None]] = field(default_factory=list)
    _ready: list[tuple[int, int, int, _Wave]] = field(default_factory=list)
    _queue: deque[list] = field(default_factory=deque)
    """Waves at the engines, and how many of their children wait for a slot."""

    def run(self) -> Timed:
        """Go through it."""
        self._random, self._number = Random(0), 0
        self._free = self.engines.count * self.engines.slots
        self._begun = self._open = self._landing = self._pending = 0
        self._driver_at, self._driver_s = 0.0, 0.0
        self._threads = [0.0] * COMMITS_AT_ONCE
        self._candidates = self._waves = 0
        now = 0.0
        self._fill(now)
        while self._events:
            now, _, kind, wave = heapq.heappop(self._events)
            if kind == _END:
                self._free += 1
                self._pending -= 1
                wave.missing -= 1
                if not wave.missing:
                    self._take_in(wave, now)
            elif kind == _ARRIVE:
                self._queue.append([wave, wave.size])
            elif kind == _LAND:
                self._landed(wave)
            self._start(now)
            if kind != _END:
                self._fill(now)
        return Timed(now, self._candidates, self._waves, self._driver_s)

    def _at(self, time: float, kind: int, wave: _Wave | None = None) -> None:
        self._number += 1
        heapq.heappush(self._events, (time, self._number, kind, wave))

    def _start(self, now: float) -> None:
        """Children take the slots that are free."""
        speed = self.engines.rate / self.engines.slots
        while self._free and self._queue:
            head = self._queue[0]
            taken = min(self._free, head[1])
            for _ in range(taken):
                self._at(now + self._length() / speed, _END, head[0])
            self._free -= taken
            head[1] -= taken
            if not head[1]:
                self._queue.popleft()

    def _length(self) -> float:
        e = self.engines
        drawn = e.tokens * exp(self._random.gauss(-e.sigma * e.sigma / 2, e.sigma))
        return ceil(min(max(1.0, drawn), e.most) / e.step) * e.step

    def _work(self, now: float, seconds: float) -> float:
        """The driver works as soon as it can; when it will be done."""
        self._driver_at = max(self._driver_at, now) + seconds
        self._driver_s += seconds
        return self._driver_at

    def _take_in(self, wave: _Wave, now: float) -> None:
        """A whole wave: the driver's work, and its commit behind others."""
        done = self._work(now, wave.size * self.costs.node_s)
        begins = max(done, heapq.heappop(self._threads))
        lands = begins + self.costs.puts_per_wave * self.costs.put_s
        heapq.heappush(self._threads, lands)
        self._landing += 1
        self._at(lands, _LAND, wave)

    def _landed(self, wave: _Wave) -> None:
        self._landing -= 1
        self._open -= 1
        self._candidates += wave.size
        self._waves += 1
        below = wave.level + 1
        if below == len(self.tree.levels):
            return
        for parents in self.tree.blocks(below, wave.parents * self.tree.levels[wave.level][1]):
            self._make_ready(wave.cohort, below, parents)

    def _make_ready(self, cohort: int, level: int, parents: int) -> None:
        size = parents * self.tree.levels[level][0]
        self._number += 1
        wave = _Wave(cohort, level, parents, size, size)
        heapq.heappush(self._ready, (cohort, -level, self._number, wave))

    def _fill(self, now: float) -> None:
        """The driver opens the next wave, if there is room and it has time."""
        if not self._has_room():
            return
        if self._driver_at > now:
            self._at(self._driver_at, _WAKE)
            return
        seconds = self.costs.get_s
        if not self._ready:
            if self._begun == self.cohorts:
                return
            self._make_ready(self._begun, 0, self.tree.trees)
            self._begun += 1
            seconds += self.costs.put_s + self.costs.open_s
        wave = heapq.heappop(self._ready)[3]
        self._open += 1
        self._pending += wave.size
        self._at(self._work(now, seconds), _ARRIVE, wave)

    def _has_room(self) -> bool:
        """As the driver's pace has it."""
        enough = 2 * self.engines.count
        if self._landing >= enough:
            return False
        lease = 2 * self.engines.slots
        return self._open - self._landing < enough or self._pending < enough * lease
