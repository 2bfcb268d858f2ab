"""Budgets: what a run has spent over all attempts at it, and whether another cohort may begin.

What the waves took that a repair retired is not counted: the ledger no longer holds them.

The rule. Cohorts begin in plan order, and one that has begun is finished. The next one begins while
what is spent, and what those that have begun will still take, is below every limit. A cohort is
expected to take what the finished ones of the run took on average, and before one is finished, what
the plan allows it at most; time is expected to pass as it did for each token so far, and while
nothing is known about that, only one cohort is begun. The first one always begins. So where cohorts
are alike, a run spends at most one cohort more than it may; and where one is larger than was
expected, what that one takes beyond its expectation comes on top.

With several drivers each of them decides. They claim cohorts in plan order, so each knows how many
have begun, whoever began them, and the bound is the same. What a cohort of others really took, and
the GPUs that they hold, it learns with their waves, some seconds after these are committed.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from pipeline.plan.agenda import child_waves
from pipeline.plan.busy_time import BusyTime
from pipeline.plan.plan import Plan
from pipeline.tree.recipe import LevelRule, Recipe
from schemas.errors import CorruptData
from schemas.execution_spec import BudgetSpec
from schemas.generation_spec import GenerationSpec
from schemas.manifest import Manifest
from schemas.wave_id import WaveId

HOUR_S = 3600.0


class Spent(NamedTuple):
    """What a run has taken, in the units of its budget."""

    nodes: float = 0
    tokens: float = 0
    hours: float = 0.0
    gpu_hours: float = 0.0


@dataclass
class Held:
    """What an attempt that is going on holds, and since when."""

    attempt: str
    gpus: float
    since: float
    gpu_s: Callable[[], float] | None = None
    """GPU seconds held until now, by who knows; None: `gpus` all the time."""


class _Attempt:
    """What the waves of one attempt say of its time and its GPUs, which may come and go."""

    def __init__(self) -> None:
        self._busy = BusyTime()
        self._gpus: float | None = None
        """As its first wave has it."""
        self._wave_s = 0.0
        self._more_gpu_s = 0.0
        """What waves held beyond that."""

    def add(self, manifest: Manifest) -> None:
        length = max(0.0, manifest.finished_at - manifest.started_at)
        self._gpus = manifest.gpus if self._gpus is None else self._gpus
        self._busy.add(manifest.started_at, manifest.finished_at)
        self._wave_s += length
        self._more_gpu_s += length * (manifest.gpus - self._gpus)

    @property
    def gpu_s(self) -> float:
        """Waves overlap; so their mean, for as long as any was in flight."""
        more = self._more_gpu_s / self._wave_s if self._wave_s else 0.0
        return self._busy.total * ((self._gpus or 0.0) + more)

    def gpu_s_with(self, held: Held, until: float) -> float:
        """The same while it is going on."""
        if held.gpu_s is not None:
            return held.gpu_s()
        return self._busy.total_with(held.since, until) * held.gpus


class Spending:
    """The ledger added up as a budget counts, a manifest at a time, in any order."""

    def __init__(self) -> None:
        self._nodes = 0
        self._tokens = 0
        self._busy = BusyTime()
        self._attempts: dict[str, _Attempt] = defaultdict(_Attempt)

    def add(self, manifest: Manifest) -> None:
        """Book a wave."""
        self._nodes += manifest.counts.asked
        self._tokens += manifest.counts.sampled_tokens
        self._busy.add(manifest.started_at, manifest.finished_at)
        self._attempts[manifest.attempt].add(manifest)

    def spent(self, held: Held | None = None, now: float = 0.0) -> Spent:
        """What was taken. The clock of an attempt that is going on counts until now, even where
        none of its waves is committed yet."""
        seconds = self._busy.total
        gpu_s = {name: attempt.gpu_s for name, attempt in self._attempts.items()}
        if held is not None:
            until = max(now, held.since)
            seconds = self._busy.total_with(held.since, until)
            own = self._attempts.get(held.attempt, _Attempt())
            gpu_s[held.attempt] = own.gpu_s_with(held, until)
        return Spent(self._nodes, self._tokens, seconds / HOUR_S, sum(gpu_s.values()) / HOUR_S)


def spent_of(manifests: Iterable[Manifest]) -> Spent:
    """What committed waves took."""
    spending = Spending()
    for manifest in manifests:
        spending.add(manifest)
    return spending.spent()


class Limit(NamedTuple):
    """One limit of a budget, and what is spent of it."""

    name: str
    """As in the spec."""
    spent: float
    allowed: float

    @property
    def reached(self) -> bool:
        """Whether nothing is left."""
        return self.spent >= self.allowed

    def __str__(self) -> str:
        unit = self.name.replace("gpu_", "GPU ")
        return f"{amount(self.spent)} of {amount(self.allowed)} {unit}"


def amount(value: float) -> str:
    """A number of things, or of hours, for people."""
    whole = isinstance(value, int) or value >= 1000 or value == int(value)
    return f"{value:,.0f}" if whole else f"{value:,.3g}"


def limits(budget: BudgetSpec, spent: Spent) -> list[Limit]:
    """The limits that are set."""
    found = []
    for name, value in spent._asdict().items():
        allowed = getattr(budget, name)
        if allowed is not None:
            found.append(Limit(name, value, allowed))
    return found


def exhausted(budget: BudgetSpec, spent: Spent) -> str | None:
    """Which limit is reached, in words; None while there is something left of each."""
    for limit in limits(budget, spent):
        if limit.reached:
            return f"execution.budget.{limit.name}: {limit} are spent"
    return None


@dataclass(slots=True)
class _Begun:
    """A cohort with waves that are not committed."""

    waiting: set[WaveId]
    """Those of them whose parent waves are committed."""
    nodes: int = 0
    tokens: int = 0


class Admission:
    """Decides whether the next cohort begins, from all waves that are committed.

    Book each wave once, those of the level above before those below, as ledger and loop have them;
    a wave that no booked one leads to is a sign of a damaged ledger.
    """

    def __init__(
        self,
        budget: BudgetSpec,
        spec: GenerationSpec,
        recipe: Recipe,
        plan: Plan,
        held: Held | None = None,
    ) -> None:
        self._budget, self._spec, self._recipe = budget, spec, recipe
        self._limited = budget != BudgetSpec()
        self._held = held
        self._spending = Spending()
        self._planned = _planned(spec, recipe, plan)
        self._cohorts = plan.cohorts
        self._begun = 0
        """So many cohorts, the first ones of the plan."""
        self._unfinished: dict[int, _Begun] = {}
        self._finished = Spent()

    def book(self, manifest: Manifest) -> None:
        """A wave is committed, by whomever. All cohorts before one that has begun are to begin."""
        wave, counts = WaveId.parse(manifest.wave), manifest.counts
        self.expect(wave.cohort + 1)
        cohort = self._unfinished.get(wave.cohort, _Begun(set()))
        if wave not in cohort.waiting:
            raise CorruptData(_why_adrift(wave, cohort.waiting))
        self._spending.add(manifest)
        cohort.waiting.remove(wave)
        cohort.waiting.update(child_waves(self._spec, self._recipe, wave, manifest.frontier))
        cohort.nodes += counts.asked
        cohort.tokens += counts.sampled_tokens
        if not cohort.waiting:
            del self._unfinished[wave.cohort]
            done = self._finished
            self._finished = Spent(done.nodes + cohort.nodes, done.tokens + cohort.tokens)

    def hold(self, held: Held | None) -> None:
        """From now on the attempt that is going on holds other GPUs, or none."""
        self._held = held

    def expect(self, cohorts: int) -> None:
        """So many cohorts, the first ones of the plan, have begun, by whomever."""
        while self._begun < min(cohorts, self._cohorts):
            self._begin()

    def admits(self, now: float) -> bool:
        """Whether the next cohort begins; if so, it counts from then on."""
        if self._begun and self._limited and exhausted(self._budget, self._ahead(now)) is not None:
            return False
        self._begin()
        return True

    def spent(self, now: float) -> Spent:
        """What the run took until now."""
        return self._spending.spent(self._held, now)

    def limits(self, now: float) -> tuple[Limit, ...]:
        """The limits that are set, with what is spent of each until now."""
        return tuple(limits(self._budget, self.spent(now)))

    def _begin(self) -> None:
        self._unfinished[self._begun] = _Begun({WaveId((self._begun,))})
        self._begun += 1

    def _ahead(self, now: float) -> Spent:
        """What will be spent once all that has begun is finished."""
        spent, one = self.spent(now), self._expected()
        nodes = sum(max(0.0, one.nodes - cohort.nodes) for cohort in self._unfinished.values())
        tokens = sum(max(0.0, one.tokens - cohort.tokens) for cohort in self._unfinished.values())
        return Spent(
            spent.nodes + nodes,
            spent.tokens + tokens,
            spent.hours + _time_for(tokens, spent.hours, spent.tokens),
            spent.gpu_hours + _time_for(tokens, spent.gpu_hours, spent.tokens),
        )

    def _expected(self) -> Spent:
        """Nodes and tokens of one cohort."""
        finished = self._begun - len(self._unfinished)
        if not finished:
            return self._planned
        return Spent(self._finished.nodes / finished, self._finished.tokens / finished)


def _why_adrift(wave: WaveId, waiting: set[WaveId]) -> str:
    """What is wrong with a ledger that has a wave to which no committed wave leads."""
    above = {WaveId(wave.path[:level]) for level in range(1, wave.level)}
    for missing in above & waiting:
        return (
            f"wave {missing.name} has child waves but no manifest; its file was removed from "
            "ledger/. `arborist verify` lists all defects of the run."
        )
    return (
        f"wave {wave.name} has a manifest, but no wave of the plan leads to it; the file was put "
        "into ledger/, or one above it was changed. `arborist verify` lists all defects of the run."
    )


def _time_for(tokens: float, hours: float, sampled: float) -> float:
    """As it passed for those sampled so far; while none are, nobody knows."""
    if not tokens:
        return 0.0
    return tokens * hours / sampled if sampled else math.inf


def _planned(spec: GenerationSpec, recipe: Recipe, plan: Plan) -> Spent:
    """Nodes and tokens of one cohort, at most."""
    candidates = sum(level.candidates for level in plan.levels)
    about = sum(
        row.candidates * sum(aside_tokens(recipe.rule(spec, row.level))) for row in plan.levels
    )
    tokens = sum(level.max_tokens for level in plan.levels) + about
    return Spent(candidates / plan.cohorts, tokens / plan.cohorts)


def aside_tokens(rule: LevelRule) -> Iterator[int]:
    """What may be sampled about one candidate."""
    if rule.judge is not None:
        yield rule.judge.max_tokens
    if rule.critique is not None:
        yield rule.critique.critique_tokens
        yield rule.critique.rewrite_tokens or rule.sampling.max_tokens
