"""The agenda: which wave comes next, given what is committed and which cohorts are ours.

The oldest cohort first, and within it the deepest wave first: so trees finish, the prefixes of a
wave's parents are still in the engine's cache, and the frontiers held in memory stay few.
A cohort with a committed wave has begun and is continued, by whoever takes it, and so is every
cohort before it; each further one asks to be admitted. So those that begin are the first ones of
the plan. Each cohort is taken before its first wave is handed out.
"""

import heapq
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import groupby
from typing import Protocol

from pipeline.plan.plan import Plan, parents_per_wave
from pipeline.tree.recipe import Recipe
from schemas.errors import CorruptData
from schemas.generation_spec import MAX_NUMBERS, GenerationSpec
from schemas.wave_id import WaveId


class Cohorts(Protocol):
    """Which cohorts this driver may work on."""

    @property
    def reach(self) -> int:
        """One more than the highest cohort that some driver is known to work on."""
        ...

    def take(self, cohort: int) -> bool:
        """Whether it is this driver's from now on, and not another one's."""
        ...

    def holds(self, cohort: int) -> bool:
        """Whether it still is."""
        ...


def child_waves(
    spec: GenerationSpec, recipe: Recipe, wave: WaveId, frontier: int
) -> Iterator[WaveId]:
    """The waves that a committed wave's frontier is cut into."""
    parents = min(parents_per_wave(spec, recipe, wave.level), MAX_NUMBERS)
    most = parents * (recipe.rule(spec, wave.level).asked + 1)
    if frontier > most or (frontier and wave.level >= recipe.num_levels(spec)):
        raise CorruptData(
            f"wave {wave.name}: its manifest has {frontier} nodes to expand, expected at most "
            f"{most if wave.level < recipe.num_levels(spec) else 0}; it is not of this run's plan."
        )
    if frontier:
        per_wave = parents_per_wave(spec, recipe, wave.level + 1)
        yield from map(wave.block, range(-(-frontier // per_wave)))


class Agenda:
    """The waves that remain, in the order in which they are to be opened."""

    def __init__(
        self,
        spec: GenerationSpec,
        recipe: Recipe,
        plan: Plan,
        cohorts: Cohorts,
        *,
        drivers: int = 1,
        admits: Callable[[], bool] = lambda: True,
    ) -> None:
        self._spec, self._recipe, self._plan = spec, recipe, plan
        self._cohorts, self._drivers = cohorts, drivers
        self._admits = admits
        """Whether the next cohort, which has not begun, may begin now."""
        self._waiting: dict[int, set[WaveId]] = {}
        """Of each cohort that has begun and is not whole, the waves that are not committed while
        those above them are."""
        self._whole: set[int] = set()
        self._ours: set[int] = set()
        self._open: set[WaveId] = set()
        """Handed out, and not committed."""
        self._ready: list[tuple[int, int, WaveId]] = []
        self._begun = 0
        """All cohorts before this one have begun, and are to be finished."""
        self._held_back = False

    @property
    def held_back(self) -> bool:
        """Whether cohorts remain that were not admitted when that was asked last."""
        return self._held_back

    @property
    def begun(self) -> int:
        """How many cohorts have begun, by whomever."""
        return self._begun

    @property
    def is_done(self) -> bool:
        """Whether all planned waves are committed."""
        return len(self._whole) == self._plan.cohorts

    @property
    def awaited(self) -> list[int]:
        """The cohorts that others have begun and not finished."""
        return sorted(self._waiting.keys() - self._ours)

    def is_whole(self, cohort: int) -> bool:
        """Whether all waves of a cohort are committed."""
        return cohort in self._whole

    def is_waiting(self, wave: WaveId) -> bool:
        """Whether a wave is not committed while those above it are."""
        return wave in self._below(wave.cohort)

    def has_next(self) -> bool:
        """Whether a wave is ready; where none is, another cohort is taken if one may be."""
        while not self._find_ready():
            cohort = self._take_one()
            if cohort is None:
                return False
            self._ours.add(cohort)
            self._make_ready(self._below(cohort) - self._open)
        return True

    def next(self) -> WaveId | None:
        """Take the next ready wave; None if nothing is ready now."""
        if not self.has_next():
            return None
        wave = heapq.heappop(self._ready)[2]
        self._open.add(wave)
        return wave

    def commit(self, wave: WaveId, frontier: int) -> None:
        """A wave became real with so many nodes to expand, by whomever; its child waves are ready.
        Once it is booked, or where nothing leads to it, it says nothing."""
        for cohort in range(self._begun, min(wave.cohort + 1, self._plan.cohorts)):
            self._begin(cohort)
        waiting = self._below(wave.cohort)
        if wave not in waiting:
            return
        self._open.discard(wave)
        waiting.remove(wave)
        children = set(child_waves(self._spec, self._recipe, wave, frontier))
        waiting |= children
        if wave.cohort in self._ours:
            self._make_ready(children)
        if not waiting:
            del self._waiting[wave.cohort]
            self._ours.discard(wave.cohort)
            self._whole.add(wave.cohort)

    def _below(self, cohort: int) -> set[WaveId]:
        """Of a cohort that has begun, the waves that may be worked on."""
        return self._waiting.get(cohort, set())

    def _make_ready(self, waves: Iterable[WaveId]) -> None:
        for wave in waves:
            heapq.heappush(self._ready, (wave.cohort, -wave.level, wave))

    def _find_ready(self) -> bool:
        """Whether the first of the ready waves is still ours to open; others are left out."""
        while self._ready:
            wave = self._ready[0][2]
            if not self._cohorts.holds(wave.cohort):
                self._lose(wave.cohort)
            elif self.is_waiting(wave):
                return True
            else:
                heapq.heappop(self._ready)
        return False

    def _lose(self, cohort: int) -> None:
        """Another driver took a cohort over."""
        self._ours.discard(cohort)
        self._ready = [entry for entry in self._ready if entry[0] != cohort]
        heapq.heapify(self._ready)

    def _take_one(self) -> int | None:
        """One more cohort for this driver: the first that was begun and left, else a new one."""
        self._held_back = False
        if len(self._ours) >= self._fair_share():
            return None
        self._note_begun()
        for cohort in self.awaited:
            if self._cohorts.take(cohort):
                return cohort
        return self._take_fresh()

    def _fair_share(self) -> int:
        """How many of the cohorts that are not whole one driver may hold at a time."""
        return math.ceil((self._plan.cohorts - len(self._whole)) / self._drivers)

    def _note_begun(self) -> None:
        """All before one that has a wave, or that somebody works on, are to be finished."""
        for cohort in range(self._begun, min(self._cohorts.reach, self._plan.cohorts)):
            self._begin(cohort)

    def _begin(self, cohort: int) -> None:
        """The one after those that have begun."""
        self._waiting[cohort] = {WaveId((cohort,))}
        self._begun = cohort + 1

    def _take_fresh(self) -> int | None:
        while self._begun < self._plan.cohorts:
            self._held_back = not self._admits()
            if self._held_back:
                return None
            cohort = self._begun
            self._begin(cohort)
            if self._cohorts.take(cohort):
                return cohort
        return None


def planned_waves(
    spec: GenerationSpec, recipe: Recipe, plan: Plan, committed: Mapping[str, int]
) -> Iterator[tuple[WaveId, bool]]:
    """Every wave that is known to exist, with whether it is committed, in plan order; of the
    cohorts after the last that has begun, only the first."""
    begun = 1 + max((WaveId.parse(name).cohort for name in committed), default=-1)
    for cohort in range(min(plan.cohorts, begun + 1)):
        waiting = [WaveId((cohort,))]
        while waiting:
            wave = waiting.pop()
            frontier = committed.get(wave.name)
            yield wave, frontier is not None
            waiting.extend(reversed(list(child_waves(spec, recipe, wave, frontier or 0))))


def finished_cohorts(waves: Iterable[tuple[WaveId, bool]]) -> set[int]:
    """Of planned waves, the cohorts that are committed to the end."""
    left, seen = set(), set()
    for wave, committed in waves:
        seen.add(wave.cohort)
        if not committed:
            left.add(wave.cohort)
    return seen - left


def whole_cohorts(waves: Iterable[tuple[WaveId, bool]]) -> Iterator[WaveId]:
    """Of planned waves, those of the longest prefix of cohorts that are committed to the end."""
    for _, cohort in groupby(waves, key=lambda planned: planned[0].cohort):
        planned = list(cohort)
        if not all(committed for _, committed in planned):
            return
        yield from (wave for wave, _ in planned)
