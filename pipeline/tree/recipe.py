"""The protocol of a recipe: the rules by which one method grows trees."""

from dataclasses import dataclass, replace
from typing import Literal, Protocol

from schemas.curation_spec import JudgeSpec
from schemas.dialect import Dialect
from schemas.generation_spec import GenerationSpec
from schemas.records import Root, Sampling


@dataclass(frozen=True, slots=True)
class LevelRule:
    """How the children of one level are asked for."""

    role: Literal["user", "assistant"]
    asked: int
    """Candidates asked of each parent."""
    fanout: int
    """Of which at most so many are kept."""
    sampling: Sampling
    """Without the stops that the dialect adds."""
    group: str
    judge: JudgeSpec | None = None
    """What the model is asked about each turn, where a score of it is wanted."""


class Recipe(Protocol):
    """One method. Pure; its version rises whenever its requests would change."""

    name: str
    version: int

    def num_trees(self, spec: GenerationSpec) -> int:
        """How many trees the run grows; `SpecError` where the spec is impossible for it."""
        ...

    def root(self, spec: GenerationSpec, tree_id: int) -> Root:
        """What a tree grows from."""
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


def with_stops(rule: LevelRule, dialect: Dialect) -> Sampling:
    """The rule's sampling with the terminators of its role."""
    if rule.role == "user":
        ids, strings = dialect.user_stop_ids, dialect.user_stop_strings
    else:
        ids, strings = dialect.assistant_stop_ids, dialect.assistant_stop_strings
    own = rule.sampling.stop_strings
    return replace(rule.sampling, stop_ids=ids, stop_strings=(*strings, *own))
