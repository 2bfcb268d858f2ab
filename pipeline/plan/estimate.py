"""The estimate: from the rows of a pilot to the size of the real run, with an interval.

Level by level: parents times what each keeps are the parents below, and candidates times their
tokens are the tokens. What is believed of each level (`beliefs`) is drawn many times, with a fixed
seed, and so is the chance that is in the real run itself; 90 of 100 draws lie in the interval.
Levels are drawn independently of each other.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pipeline.plan.beliefs import Belief, Family, kept_belief, likeness_of, token_belief
from pipeline.plan.budget import HOUR_S, aside_tokens
from pipeline.plan.plan import LevelPlan, Plan
from pipeline.tree.recipe import LevelRule, Recipe
from schemas.estimate import Estimate, LevelEstimate, Range
from schemas.generation_spec import GenerationSpec

DRAWS = 4000
SEED = 20240611
LOW, HIGH = 5, 95

Floats = npt.NDArray[np.float64]


class Target(NamedTuple):
    """The run that is to be foretold."""

    run_id: str
    spec: GenerationSpec
    recipe: Recipe
    plan: Plan


class Pilot(NamedTuple):
    """A pilot that is sealed. It had one engine of each group."""

    run_id: str
    spec: GenerationSpec
    plan: Plan
    families: Mapping[int, Sequence[Family]]
    """By level, the children of each of its parents."""
    sampled: Mapping[int, Mapping[str, int]]
    """By level and engine group, tokens of candidates and of what is said about them."""
    speeds: Mapping[str, float]
    """By engine group, tokens in a second of the waves that it had a part in; at least so fast."""


class Machines(NamedTuple):
    """What the real run is made on."""

    engines: Mapping[str, int]
    """By group, how many there will be."""
    gpus: float
    """Of all of them."""
    price: float | None
    """Of a GPU hour."""


class _Drawn(NamedTuple):
    """A level in every draw; the first one is the point estimate, without any chance."""

    parents: Floats
    candidates: Floats
    kept: Floats
    tokens: Floats


def estimate(target: Target, pilot: Pilot, machines: Machines) -> Estimate:
    """What the pilot says of the run."""
    drawn = _draw(target, pilot.families)
    hours, by_level = _hours(target, pilot, machines, drawn)
    families = [family for level in pilot.families.values() for family in level]
    levels = zip(target.plan.levels, drawn, by_level, strict=True)
    return Estimate(
        run_id=target.run_id,
        pilot=pilot.run_id,
        pilot_candidates=sum(family.asked for family in families),
        levels=tuple(
            _level(row, draws, pilot.families.get(row.level, ()), own, machines)
            for row, draws, own in levels
        ),
        candidates=_range(_sum([draws.candidates for draws in drawn])),
        kept=_range(_sum([draws.kept for draws in drawn])),
        tokens=_range(_sum([draws.tokens for draws in drawn])),
        tokens_per_s={name: round(speed, 3) for name, speed in pilot.speeds.items()},
        hours=_range(hours),
        gpu_hours=_range(hours * machines.gpus),
        cost=_cost(hours, machines),
        unknown=tuple(_unknown(target, pilot, machines)),
    )


def _draw(target: Target, families: Mapping[int, Sequence[Family]]) -> list[_Drawn]:
    rng = np.random.default_rng(SEED)
    levels: list[_Drawn] = []
    alike = likeness_of(families.values())
    parents = np.full(DRAWS + 1, float(target.plan.trees))
    for row in target.plan.levels:
        rule = target.recipe.rule(target.spec, row.level)
        seen = families.get(row.level, ())
        candidates = parents * row.asked_per_parent
        kept = _total(rng, kept_belief(row, seen, alike), parents, float(row.fanout))
        most = _most_tokens(rule)
        tokens = _total(rng, token_belief(most, seen, alike), candidates, most)
        levels.append(_Drawn(parents, candidates, kept, tokens))
        share = target.recipe.continuing(target.spec, row.level)
        parents = kept * _shares(rng, share, levels[0].kept)
    return levels


def _total(rng: np.random.Generator, belief: Belief, things: Floats, most: float) -> Floats:
    """The sum over so many things: their mean is not quite known, and each has its own value."""
    mean = belief.mean + belief.error * _chance(rng)
    own = belief.spread * np.sqrt(things) * _chance(rng)
    return np.clip(np.clip(mean, 0, most) * things + own, 0, most * things)


def _shares(rng: np.random.Generator, share: float, openings: Floats) -> Floats:
    """Of the kept nodes, which part goes on: every opening draws for all below it."""
    spread = np.sqrt(share * (1 - share) / np.maximum(openings, 1))
    return np.clip(share + spread * _chance(rng), 0, 1)


def _chance(rng: np.random.Generator) -> Floats:
    return np.concatenate([[0.0], rng.standard_normal(DRAWS)])


def _most_tokens(rule: LevelRule) -> float:
    return float(rule.sampling.max_tokens + sum(aside_tokens(rule)))


def _hours(
    target: Target, pilot: Pilot, machines: Machines, drawn: Sequence[_Drawn]
) -> tuple[Floats, list[Floats]]:
    """Of the run, and each level's share of them.

    Groups of engines work side by side, so the slowest one tells. A level's share is that of the
    work of all groups which is done for it.
    """
    by_group = {name: np.zeros(DRAWS + 1) for name in machines.engines}
    by_level = []
    for row, draws in zip(target.plan.levels, drawn, strict=True):
        by_level.append(np.zeros(DRAWS + 1))
        for name, part in _writers(target, pilot, row.level).items():
            speed = pilot.speeds.get(name, 0.0) * machines.engines[name]
            if speed:
                work = draws.tokens * part / speed / HOUR_S
                by_group[name] += work
                by_level[-1] += work
    slowest: Floats = np.max(list(by_group.values()), axis=0)
    all_work = _sum(by_level)
    rate = np.divide(slowest, all_work, out=np.zeros_like(slowest), where=all_work > 0)
    return slowest, [rate * work for work in by_level]


def _writers(target: Target, pilot: Pilot, level: int) -> dict[str, float]:
    """By engine group, its part of a level's tokens."""
    sampled = pilot.sampled.get(level, {})
    total = sum(sampled.values())
    if not total:
        return {target.recipe.rule(target.spec, level).group: 1.0}
    return {name: tokens / total for name, tokens in sampled.items()}


def _cost(hours: Floats, machines: Machines) -> Range | None:
    """All engines are paid for all the time."""
    return None if machines.price is None else _range(hours * machines.gpus * machines.price)


def _level(
    row: LevelPlan, drawn: _Drawn, families: Sequence[Family], hours: Floats, machines: Machines
) -> LevelEstimate:
    return LevelEstimate(
        level=row.level,
        role=row.role,
        parents=_range(drawn.parents),
        candidates=_range(drawn.candidates),
        kept=_range(drawn.kept),
        tokens=_range(drawn.tokens),
        hours=_range(hours),
        gpu_hours=_range(hours * machines.gpus),
        cost=_cost(hours, machines),
        pilot_parents=len(families),
        pilot_candidates=sum(family.asked for family in families),
    )


def _sum(parts: Sequence[Floats]) -> Floats:
    total: Floats = np.sum(parts, axis=0)
    return total


def _range(draws: Floats) -> Range:
    value = float(draws[0])
    low, high = np.percentile(draws[1:], [LOW, HIGH])
    return Range(value=value, low=min(value, float(low)), high=max(value, float(high)))


def _unknown(target: Target, pilot: Pilot, machines: Machines) -> Iterator[str]:
    """What it cannot tell."""
    curation = target.spec.curation
    repeats = curation.duplicates != "keep" or curation.diversity is not None
    for row, small in zip(target.plan.levels, pilot.plan.levels, strict=True):
        if row.candidates and not pilot.families.get(row.level):
            yield (
                f"level {row.level}: the pilot has not one candidate there, so its figures are "
                "guesses; give it more --nodes"
            )
        elif repeats and small.asked_per_parent < row.asked_per_parent:
            yield (
                f"level {row.level}: the pilot asked {small.asked_per_parent:,} of "
                f"{row.asked_per_parent:,} siblings; more of them repeat each other more often, "
                "so fewer may be kept"
            )
    trees = pilot.plan.trees_per_cohort, target.plan.trees_per_cohort
    over_cohorts = target.recipe.rule(target.spec, 1).compared == "cohort"
    if repeats and over_cohorts and trees[0] < trees[1]:
        yield (
            f"openings were compared over {trees[0]:,} trees, in the run it will be over "
            f"{trees[1]:,}; more of them will repeat another"
        )
    if pilot.plan.trees < target.plan.trees:
        yield (
            f"{pilot.plan.trees:,} of {target.plan.trees:,} trees: what grows from other roots may "
            "be kept less or be longer"
        )
    yield from _unknown_speeds(pilot, machines)
    yield (
        "starting engines is left out; and small waves do not fill a GPU, so that the run is "
        "likely to be faster than said here"
    )


def _unknown_speeds(pilot: Pilot, machines: Machines) -> Iterator[str]:
    for name in machines.engines:
        if not pilot.speeds.get(name):
            yield (
                f"engines `{name}`: they sampled nothing in the pilot, so hours and cost are "
                "without their work"
            )
    shared = {name for groups in pilot.sampled.values() if len(groups) > 1 for name in groups}
    if shared:
        names = ", ".join(f"`{name}`" for name in sorted(shared))
        yield (
            f"engines {names}: in the pilot they waited for each other, so that each may be faster "
            "than said here, and hours fewer"
        )
