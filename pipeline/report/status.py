"""How far a run is: counts by level and reason, speed, and what is left."""

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from operator import itemgetter

from pipeline.plan.plan import Plan, make_plan
from pipeline.tree.recipe import Recipe
from schemas.generation_spec import GenerationSpec
from schemas.manifest import Manifest
from schemas.wave_id import WaveId


@dataclass
class LevelStatus:
    """One level over all committed waves."""

    level: int
    role: str
    waves: int = 0
    expected_waves: int = 0
    """By what was kept so far, else by the plan."""
    asked: int = 0
    kept: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    prompt_tokens: int = 0
    output_tokens: int = 0
    frontier: int = 0
    expected_candidates: float = 0.0

    def add(self, manifest: Manifest) -> None:
        """Book one wave."""
        counts = manifest.counts
        self.waves += 1
        self.asked += counts.asked
        self.kept += counts.kept
        self.dropped.update(counts.dropped)
        self.prompt_tokens += counts.prompt_tokens
        self.output_tokens += counts.output_tokens
        self.frontier += manifest.frontier


@dataclass(frozen=True)
class Status:
    """A run at one moment."""

    levels: tuple[LevelStatus, ...]
    busy_s: float
    """Time in which at least one wave was in flight; pauses between attempts left out."""
    attempts: int
    eta_s: float | None
    """None while nothing can be said yet."""

    @property
    def output_tokens(self) -> int:
        """Sampled tokens in committed waves."""
        return sum(level.output_tokens for level in self.levels)

    @property
    def tokens_per_s(self) -> float:
        """Sampled tokens over busy time."""
        return self.output_tokens / self.busy_s if self.busy_s else 0.0

    @property
    def kept(self) -> int:
        """Kept nodes."""
        return sum(level.kept for level in self.levels)

    @property
    def dropped(self) -> Counter[str]:
        """Drops by reason."""
        return sum((level.dropped for level in self.levels), Counter())


class Tally:
    """The ledger added up, a manifest at a time."""

    def __init__(self, spec: GenerationSpec, recipe: Recipe) -> None:
        self._plan = make_plan(spec, recipe)
        self._levels = tuple(LevelStatus(row.level, row.role) for row in self._plan.levels)
        self._busy = BusyTime()
        self._attempts: set[str] = set()

    def add(self, manifest: Manifest) -> None:
        """Book a wave."""
        self._levels[WaveId.parse(manifest.wave).level - 1].add(manifest)
        self._busy.add(manifest.started_at, manifest.finished_at)
        self._attempts.add(manifest.attempt)

    def status(self) -> Status:
        """The sums, and what they say about the rest."""
        _expect(self._plan, self._levels)
        busy = self._busy.total
        left = _eta(self._plan, self._levels, busy)
        return Status(self._levels, busy, len(self._attempts), left)


def status_of(spec: GenerationSpec, recipe: Recipe, manifests: Iterable[Manifest]) -> Status:
    """Add up the ledger."""
    tally = Tally(spec, recipe)
    for manifest in manifests:
        tally.add(manifest)
    return tally.status()


class BusyTime:
    """The length of the union of intervals, in whatever order they come."""

    def __init__(self) -> None:
        self.total = 0.0
        self._apart: list[tuple[float, float]] = []
        """The union: intervals that do not touch, in order."""

    def add(self, start: float, stop: float) -> None:
        """One more interval, which ends after it starts."""
        first = bisect_left(self._apart, start, key=itemgetter(1))
        last = bisect_right(self._apart, stop, key=itemgetter(0))
        joined = self._apart[first:last]
        if joined:
            start, stop = min(start, joined[0][0]), max(stop, joined[-1][1])
        self.total += (stop - start) - sum(b - a for a, b in joined)
        self._apart[first:last] = [(start, stop)]


def _expect(plan: Plan, levels: Sequence[LevelStatus]) -> None:
    """Expected candidates and waves: the plan, corrected by how many nodes were kept above."""
    parents = float(plan.trees)
    for row, level in zip(plan.levels, levels, strict=True):
        planned_parents = row.candidates / row.asked_per_parent
        level.expected_candidates = parents * row.asked_per_parent
        share = parents / planned_parents if planned_parents else 0.0
        all_asked = level.asked >= round(level.expected_candidates)
        level.expected_waves = max(level.waves, 0 if all_asked else round(row.waves * share))
        parents = _frontier_ahead(plan, level, parents)


def _frontier_ahead(plan: Plan, level: LevelStatus, parents: float) -> float:
    """How many parents the next level will have."""
    row = plan.levels[level.level - 1]
    expanded = level.asked / row.asked_per_parent
    if expanded:
        return parents * level.frontier / expanded
    if not row.candidates or level.level == len(plan.levels):
        return 0.0
    below = plan.levels[level.level]
    planned = below.candidates / below.asked_per_parent
    return parents * planned / (row.candidates / row.asked_per_parent)


def _eta(plan: Plan, levels: Sequence[LevelStatus], busy_s: float) -> float | None:
    sampled = sum(level.output_tokens for level in levels)
    if not sampled or not busy_s:
        return None
    left = 0.0
    for row, level in zip(plan.levels, levels, strict=True):
        guess = row.max_tokens / max(1, row.candidates) / 2
        mean = level.output_tokens / level.asked if level.asked else guess
        left += max(0.0, level.expected_candidates - level.asked) * mean
    return left / (sampled / busy_s)
