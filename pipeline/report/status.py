"""How far a run is: counts by level and reason, speed, what is spent, and what is left."""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from pipeline.plan.budget import HOUR_S, Limit, Spending, Spent, limits
from pipeline.plan.plan import LevelPlan, Plan
from schemas.errors import CorruptData
from schemas.execution_spec import BudgetSpec
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
    aside_tokens: int = 0
    """Sampled about its candidates."""
    unused_tokens: int = 0
    """Sampled ahead for children of candidates that were not kept, until its waves were whole."""
    given: int = 0
    """References that stand in where no answer to a prompt was kept."""
    parents: int = 0
    """Whose children were asked for."""
    frontier: int = 0
    expected_candidates: float = 0.0
    expected_tokens: float = 0.0
    """Sampled for them and about them."""

    def add(self, manifest: Manifest, asked_per_parent: int) -> None:
        """Book one wave."""
        counts = manifest.counts
        self.waves += 1
        self.parents += counts.asked // asked_per_parent
        self.given += counts.given
        self.aside_tokens += counts.aside_tokens
        self.unused_tokens += counts.unused_tokens
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
    spent: Spent
    limits: tuple[Limit, ...]
    """Of its budget, with what is spent of each."""

    @property
    def eta_s(self) -> float | None:
        """Until the plan, or the budget, is used up, at the mean speed so far; None while nothing
        can be said yet."""
        return self.eta_at(self.tokens_per_s)

    def eta_at(self, tokens_per_s: float) -> float | None:
        """The same at another speed. Limits of time are what they are at any speed."""
        if not self.spent.tokens or not tokens_per_s:
            return None
        plan_s = (self.expected_tokens - self.spent.tokens) / tokens_per_s
        return max(0.0, min([plan_s, *(self._left_s(one, tokens_per_s) for one in self.limits)]))

    def _left_s(self, limit: Limit, tokens_per_s: float) -> float:
        if not limit.spent:
            return math.inf
        share = (limit.allowed - limit.spent) / limit.spent
        timed = limit.name in ("hours", "gpu_hours")
        return share * (self.busy_s if timed else self.spent.tokens / tokens_per_s)

    @property
    def asked(self) -> int:
        """Candidates of committed waves."""
        return sum(level.asked for level in self.levels)

    @property
    def output_tokens(self) -> int:
        """Of the candidates in committed waves."""
        return sum(level.output_tokens for level in self.levels)

    @property
    def aside_tokens(self) -> int:
        """Sampled about them: drafts, critiques, judgements."""
        return sum(level.aside_tokens for level in self.levels)

    @property
    def unused_tokens(self) -> int:
        """Sampled ahead, and not wanted then."""
        return sum(level.unused_tokens for level in self.levels)

    @property
    def tokens_per_s(self) -> float:
        """All sampled tokens over busy time."""
        return self.spent.tokens / self.busy_s if self.busy_s else 0.0

    @property
    def out_of_budget(self) -> bool:
        """Whether nothing is left of a limit, so that no further cohort is begun."""
        return any(limit.reached for limit in self.limits)

    @property
    def kept(self) -> int:
        """Kept nodes."""
        return sum(level.kept for level in self.levels)

    @property
    def expected_candidates(self) -> float:
        """Of the whole run."""
        return sum(level.expected_candidates for level in self.levels)

    @property
    def expected_tokens(self) -> float:
        """Of the whole run, those about candidates among them."""
        return sum(level.expected_tokens for level in self.levels)

    @property
    def expected_hours(self) -> float | None:
        """Of the whole run, at the speed so far."""
        if not self.spent.tokens:
            return None
        return self.spent.hours * self.expected_tokens / self.spent.tokens

    @property
    def dropped(self) -> Counter[str]:
        """Drops by reason."""
        return sum((level.dropped for level in self.levels), Counter())


class Tally:
    """The ledger added up, a manifest at a time."""

    def __init__(self, plan: Plan, budget: BudgetSpec | None = None) -> None:
        self._plan, self._budget = plan, budget or BudgetSpec()
        self._levels = tuple(LevelStatus(row.level, row.role) for row in plan.levels)
        self._spending = Spending()
        self._attempts: set[str] = set()

    def add(self, manifest: Manifest) -> None:
        """Book a wave."""
        index = WaveId.parse(manifest.wave).level - 1
        if index >= len(self._levels):
            raise CorruptData(
                f"ledger: wave {manifest.wave} is of level {index + 1}, but the run has "
                f"{len(self._levels)}; it is not of this run's plan."
            )
        self._levels[index].add(manifest, self._plan.levels[index].asked_per_parent)
        self._spending.add(manifest)
        self._attempts.add(manifest.attempt)

    def status(self) -> Status:
        """The sums, and what they say about the rest."""
        spent = self._spending.spent()
        _expect(self._plan, self._levels)
        found = tuple(limits(self._budget, spent))
        return Status(
            levels=self._levels,
            busy_s=spent.hours * HOUR_S,
            attempts=len(self._attempts),
            spent=spent,
            limits=found,
        )


def status_of(
    plan: Plan, manifests: Iterable[Manifest], budget: BudgetSpec | None = None
) -> Status:
    """Add up the ledger."""
    tally = Tally(plan, budget)
    for manifest in manifests:
        tally.add(manifest)
    return tally.status()


def _expect(plan: Plan, levels: Sequence[LevelStatus]) -> None:
    """Expected candidates, waves and tokens: the plan, corrected by how many nodes were kept above,
    and by how long they are."""
    parents = float(plan.trees)
    for row, level in zip(plan.levels, levels, strict=True):
        planned_parents = row.candidates / row.asked_per_parent
        level.expected_candidates = parents * row.asked_per_parent
        share = parents / planned_parents if planned_parents else 0.0
        all_asked = level.asked >= round(level.expected_candidates)
        level.expected_waves = max(level.waves, 0 if all_asked else round(row.waves * share))
        left = max(0.0, level.expected_candidates - level.asked)
        level.expected_tokens = _sampled(level) + left * _mean_tokens(row, level)
        parents = _frontier_ahead(plan, level, parents)


def _sampled(level: LevelStatus) -> int:
    return level.output_tokens + level.aside_tokens + level.unused_tokens


def _mean_tokens(row: LevelPlan, level: LevelStatus) -> float:
    """Of a candidate; before there are any, half of what it may have."""
    if level.asked:
        return _sampled(level) / level.asked
    return row.max_tokens / max(1, row.candidates) / 2


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
