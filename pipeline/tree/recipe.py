"""The protocol of a recipe: the rules by which one method grows trees."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol

from schemas.curation_spec import JudgeSpec
from schemas.dialect import Dialect
from schemas.generation_spec import CritiqueSpec, GenerationSpec
from schemas.records import Frame, RootRow, Sampling

Stops = Literal["turn", "text", "whole"]
"""What ends a turn by itself: what ends its role's turns; what ends a text; or only what ends a
text and never stands between a question and its answer, so that both come in one piece."""


@dataclass(frozen=True, slots=True)
class LevelRule:
    """How the children of one level are asked for."""

    role: Literal["user", "assistant", "text"]
    asked: int
    """Candidates asked of each parent."""
    fanout: int
    """Of which at most so many are kept."""
    sampling: Sampling
    """Without the stops that the dialect adds."""
    group: str
    say: str | None = None
    """A user's message that is given before each turn, and stays."""
    stops: Stops = "turn"
    compared: Literal["cohort", "siblings"] = "siblings"
    """Among whom repeats are looked for."""
    judge: JudgeSpec | None = None
    """What the model is asked about each turn, where a score of it is wanted."""
    critique: CritiqueSpec | None = None
    """How each turn is written again."""
    falls_back: bool = False
    """A parent without a kept child gets the root's reference as its child."""


class Recipe(Protocol):
    """One method. Pure; its version rises whenever its requests would change."""

    name: str
    version: int
    defaults: Mapping[str, Any]
    """What the section `generation` says where a spec does not; sections are merged."""

    def check(self, spec: GenerationSpec) -> None:
        """`SpecError` where a spec is none for this method."""
        ...

    def num_trees(self, spec: GenerationSpec, rows: int) -> int:
        """How many trees the run grows, where there are so many rows to grow from."""
        ...

    def picks(self, spec: GenerationSpec, rows: int, tree_id: int) -> tuple[int, ...]:
        """The rows that a tree grows from."""
        ...

    def frame(self, spec: GenerationSpec, rows: Sequence[RootRow], level: int) -> Frame:
        """What stands before a tree's turns while a level is asked for; 0: what readers see.

        It is also asked of every row alone, to see whether its texts can be said and fit.
        """
        ...

    def num_levels(self, spec: GenerationSpec) -> int:
        """The deepest level of any tree."""
        ...

    def rule(self, spec: GenerationSpec, level: int) -> LevelRule:
        """How the children at a level (from 1) are asked for."""
        ...

    def continuing(self, spec: GenerationSpec, level: int) -> float:
        """Expected share of the kept nodes at a level that are expanded further."""
        ...

    def expands(self, spec: GenerationSpec, opening: float, level: int) -> bool:
        """Whether a node is expanded. `opening` is the unit draw of its opening turn."""
        ...

    def biases(self, spec: GenerationSpec) -> tuple[str, ...] | None:
        """Settings that break the unbiased estimate; None where the method claims none."""
        ...


def rules_of(recipe: Recipe, spec: GenerationSpec) -> tuple[LevelRule, ...]:
    """By level, from 1, how its children are asked for."""
    return tuple(recipe.rule(spec, level) for level in range(1, recipe.num_levels(spec) + 1))


def with_stops(rule: LevelRule, dialect: Dialect) -> Sampling:
    """The rule's sampling with the terminators of its turns."""
    own = rule.sampling.stop_strings
    if rule.sampling.ignore_eos:
        return rule.sampling
    if rule.stops == "whole":
        return replace(rule.sampling, stop_ids=dialect.whole_stop_ids, ignore_eos=True)
    if rule.stops == "text":
        return replace(rule.sampling, stop_ids=dialect.text_stop_ids)
    if rule.role == "user":
        ids, strings = dialect.user_stop_ids, dialect.user_stop_strings
    else:
        ids, strings = dialect.assistant_stop_ids, dialect.assistant_stop_strings
    return replace(rule.sampling, stop_ids=ids, stop_strings=(*strings, *own))
