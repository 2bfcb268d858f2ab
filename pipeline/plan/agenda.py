"""The agenda: which wave comes next, given what is committed.

The oldest cohort first, and within it the deepest wave first: so trees finish, the prefixes of a
wave's parents are still in the engine's cache, and the frontiers held in memory stay few.
A cohort with a committed wave has begun and is continued, and so is every cohort before it; each
further one asks to be admitted. So those that begin are the first ones of the plan.
"""

import heapq
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import groupby

from pipeline.plan.plan import Plan, parents_per_wave
from pipeline.tree.recipe import Recipe
from schemas.errors import CorruptData
from schemas.generation_spec import MAX_NUMBERS, GenerationSpec
from schemas.wave_id import WaveId


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
        committed: Mapping[str, int],
        admits: Callable[[], bool] = lambda: True,
    ) -> None:
        self._spec, self._recipe, self._plan = spec, recipe, plan
        self._committed = committed
        """Frontier sizes of waves committed before, by wave name."""
        self._admits = admits
        """Whether the next cohort, which has not begun, may begin now."""
        self._begun = 1 + max((WaveId.parse(name).cohort for name in committed), default=-1)
        self._next_cohort = 0
        self._held_back = False
        self._ready: list[tuple[int, int, WaveId]] = []

    @property
    def held_back(self) -> bool:
        """Whether cohorts remain that were not admitted when that was asked last."""
        return self._held_back

    def next(self) -> WaveId | None:
        """Take the next ready wave; None if nothing is ready now."""
        while not self._ready and self._next_cohort < self._plan.cohorts:
            self._held_back = self._next_cohort >= self._begun and not self._admits()
            if self._held_back:
                return None
            self._make_ready(WaveId((self._next_cohort,)))
            self._next_cohort += 1
        return heapq.heappop(self._ready)[2] if self._ready else None

    def commit(self, wave: WaveId, frontier: int) -> None:
        """A wave became real with so many nodes to expand; its child waves are ready."""
        for child in child_waves(self._spec, self._recipe, wave, frontier):
            self._make_ready(child)

    def _make_ready(self, wave: WaveId) -> None:
        """Make a wave ready, or, where it is committed already, what is left below it."""
        waiting = [wave]
        while waiting:
            current = waiting.pop()
            frontier = self._committed.get(current.name)
            if frontier is None:
                heapq.heappush(self._ready, (current.cohort, -current.level, current))
            else:
                waiting.extend(child_waves(self._spec, self._recipe, current, frontier))


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


def whole_cohorts(waves: Iterable[tuple[WaveId, bool]]) -> Iterator[WaveId]:
    """Of planned waves, those of the longest prefix of cohorts that are committed to the end."""
    for _, cohort in groupby(waves, key=lambda planned: planned[0].cohort):
        planned = list(cohort)
        if not all(committed for _, committed in planned):
            return
        yield from (wave for wave, _ in planned)
