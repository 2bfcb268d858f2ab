"""What a spec amounts to, at most: cohorts, waves, nodes and tokens by level."""

import math
from collections import Counter
from dataclasses import dataclass

from pipeline.tree.recipe import Recipe
from schemas.errors import SpecError
from schemas.generation_spec import MAX_FANOUT, MAX_NUMBERS, GenerationSpec


@dataclass(frozen=True, slots=True)
class LevelPlan:
    """One level over the whole run, if everything that may be kept is kept."""

    level: int
    role: str
    fanout: int
    asked_per_parent: int
    waves: int
    nodes: int
    candidates: int
    """Asked for, oversampling included."""
    max_tokens: int
    """Sampled at most."""


@dataclass(frozen=True, slots=True)
class Plan:
    """The run's size, and how it is cut."""

    trees: int
    trees_per_cohort: int
    cohorts: int
    levels: tuple[LevelPlan, ...]
    nodes_per_tree: int
    leaves_per_tree: int

    def trees_of(self, cohort: int) -> range:
        """The trees of a cohort."""
        first = cohort * self.trees_per_cohort
        return range(first, min(first + self.trees_per_cohort, self.trees))


def parents_per_wave(spec: GenerationSpec, recipe: Recipe, level: int) -> int:
    """How many parents' candidates at a level fit into one wave; at least one."""
    return max(1, spec.bounds.candidates_per_wave // recipe.rule(spec, level).asked)


def make_plan(spec: GenerationSpec, recipe: Recipe, trees: int) -> Plan:
    """Count without enumerating: waves with equally many parents are counted together."""
    if not 0 < trees <= MAX_NUMBERS:
        raise SpecError(
            f"generation.roots: found {trees:,} trees (a first fan-out above {MAX_FANOUT:,} makes "
            f"several of each root), expected 1 to {MAX_NUMBERS:,}."
        )
    per_cohort = min(spec.bounds.trees_per_cohort, parents_per_wave(spec, recipe, 1), trees)
    cohorts = math.ceil(trees / per_cohort)
    waves = Counter({per_cohort: trees // per_cohort})
    if trees % per_cohort:
        waves[trees % per_cohort] += 1
    levels = []
    for level in range(1, recipe.num_levels(spec) + 1):
        levels.append(_level_plan(spec, recipe, level, waves))
        if level < recipe.num_levels(spec):
            waves = _child_waves(spec, recipe, level, waves)
    nodes = sum(level.nodes for level in levels)
    leaves = sum(row.nodes * (1 - recipe.continuing(spec, row.level)) for row in levels)
    per_tree = (nodes // trees, round(leaves / trees))
    return Plan(trees, per_cohort, cohorts, tuple(levels), *per_tree)


def _level_plan(spec: GenerationSpec, recipe: Recipe, level: int, waves: Counter[int]) -> LevelPlan:
    rule = recipe.rule(spec, level)
    parents = sum(size * count for size, count in waves.items())
    return LevelPlan(
        level=level,
        role=rule.role,
        fanout=rule.fanout,
        asked_per_parent=rule.asked,
        waves=sum(waves.values()),
        nodes=parents * rule.fanout,
        candidates=parents * rule.asked,
        max_tokens=parents * rule.asked * rule.sampling.max_tokens,
    )


def _child_waves(
    spec: GenerationSpec, recipe: Recipe, level: int, waves: Counter[int]
) -> Counter[int]:
    block = parents_per_wave(spec, recipe, level + 1)
    share = recipe.continuing(spec, level)
    below: Counter[int] = Counter()
    for size, count in waves.items():
        frontier = round(size * recipe.rule(spec, level).fanout * share)
        below[block] += count * (frontier // block)
        if frontier % block:
            below[frontier % block] += count
    return +below
