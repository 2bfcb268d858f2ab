"""The pilot: a small run of the same shape, from which the size of the real one is foretold.

It has few trees and keeps few children of each parent, so that every level has about as many
candidates as every other; but of each parent it asks as many of the real run's candidates as there
is room for, because siblings repeat each other, and more of them do so more often. Everything else
is as in the real run: roots, sampling, curation, bounds.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

from pipeline.plan.plan import LevelPlan, Plan
from pipeline.tree.recipe import Recipe
from schemas.generation_spec import GenerationSpec, LevelSpec

MOST_OVERSAMPLE = 64
"""What a spec allows."""
_FINER = 0.95


class Children(NamedTuple):
    """Of each parent at a level."""

    kept: int
    """At most."""
    asked: int


class Shape(NamedTuple):
    """How large the pilot is."""

    trees: int
    levels: tuple[Children, ...]


def pilot_spec(spec: GenerationSpec, recipe: Recipe, plan: Plan, candidates: int) -> GenerationSpec:
    """The pilot of a run, with about so many candidates over all levels, at most the run's own.

    `plan` is the real run's. Where the least that says something is more than that, it is more.
    """
    shape = _fitting(plan, _shares(spec, recipe, plan), candidates)
    levels = [
        _shrunk(level, row, children)
        for level, row, children in zip(spec.levels, plan.levels, shape.levels, strict=True)
    ]
    roots = spec.roots
    if shape.trees < plan.trees:
        roots = roots.model_copy(update={"trees": shape.trees})
    small = spec.model_copy(update={"roots": roots, "levels": tuple(levels)})
    return GenerationSpec.model_validate(small.model_dump())


def _shares(spec: GenerationSpec, recipe: Recipe, plan: Plan) -> list[float]:
    """By level, which part of the kept nodes is expanded."""
    return [recipe.continuing(spec, row.level) for row in plan.levels]


def _fitting(plan: Plan, shares: Sequence[float], candidates: int) -> Shape:
    """The largest shape with at most so many candidates; the least one where none fits."""
    wanted = float(candidates)
    while True:
        shape = _shape(plan, shares, wanted)
        if wanted < 1 or _size(shape, shares) <= candidates:
            return shape
        wanted *= _FINER


def _shape(plan: Plan, shares: Sequence[float], wanted: float) -> Shape:
    """About so many candidates at every level, as far as each level's own numbers allow."""
    trees = _between(min(2, plan.trees), wanted / plan.levels[0].asked_per_parent, plan.trees)
    parents, levels = float(trees), []
    for index, (row, share) in enumerate(zip(plan.levels, shares, strict=True)):
        kept = wanted * row.fanout / row.asked_per_parent
        if share and index + 1 < len(plan.levels):
            kept = wanted / plan.levels[index + 1].asked_per_parent / share
        levels.append(_children(row, parents, kept, wanted))
        parents *= levels[-1].kept * share
    return Shape(trees, tuple(levels))


def _children(row: LevelPlan, parents: float, kept: float, wanted: float) -> Children:
    """Of each of so many parents, so that so many are kept and wanted over all of them."""
    each = max(parents, 1e-9)
    keep = _between(min(2, row.fanout), kept / each, row.fanout)
    least = math.ceil(keep * row.asked_per_parent / row.fanout)
    asked = _between(least, wanted / each, row.asked_per_parent)
    return Children(max(keep, math.ceil(asked / MOST_OVERSAMPLE)), asked)


def _between(least: int, wanted: float, most: int) -> int:
    return max(least, min(most, round(min(wanted, most))))


def _size(shape: Shape, shares: Sequence[float]) -> float:
    """Candidates where everything is kept that may be."""
    parents, size = float(shape.trees), 0.0
    for children, share in zip(shape.levels, shares, strict=True):
        size += parents * children.asked
        parents *= children.kept * share
    return size


def _shrunk(level: LevelSpec, row: LevelPlan, children: Children) -> LevelSpec:
    if children == (row.fanout, row.asked_per_parent) and level.fanout == row.fanout:
        return level
    kept, asked = children
    # The product must round up to what is asked, whatever the division loses.
    oversample = 1.0 if kept == asked else (asked - 0.5) / kept
    return level.model_copy(update={"fanout": kept, "oversample": oversample})
