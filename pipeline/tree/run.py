"""All that decides rows, in one value: what every pure function of growth may ask for."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol, get_args

from pipeline.tree.recipe import LevelRule, Recipe, rules_of
from schemas.dialect import Dialect
from schemas.generation_spec import GenerationSpec
from schemas.records import Frame, Ids, Opening, Role


class Speller(Protocol):
    """Turns texts that were not sampled by it into one model's ids."""

    def opening(self, frame: Frame) -> Opening:
        """A frame, down to the end of its last text; `ModelError` where the model has no way to
        say it."""
        ...

    def ids(self, text: str) -> Ids:
        """A given text that stands between two markers; `ModelError` where the model has no way to
        say it."""
        ...

    def heard(self, text: str) -> Ids:
        """The same of what another model wrote, which nobody can mend: whatever cannot be said is
        left out."""
        ...


@dataclass(frozen=True, eq=False)
class Run:
    """One run, resolved: ids can be derived and prompts be built.

    A tongue is a dialect that at least one of the run's models speaks.
    """

    run_id: str
    spec: GenerationSpec
    recipe: Recipe
    trees: int
    tongues: tuple[int, ...]
    """By model index."""
    dialects: tuple[Dialect, ...]
    """By tongue."""
    phrases: tuple[Mapping[str, Ids], ...]
    """By tongue, the ids of each text that the run itself says between turns."""
    spellers: tuple[Speller, ...] = ()
    """By tongue; () where no tokenizer is at hand, and then only what is stored can be rebuilt."""
    curation: Mapping[str, str] = field(default_factory=dict)
    """Versions of what decides verdicts, as the run's identity has them."""

    @cached_property
    def rules(self) -> tuple[LevelRule, ...]:
        """By level, from 1, how its children are asked for."""
        return rules_of(self.recipe, self.spec)

    def rule(self, level: int) -> LevelRule:
        """How the children of a level are asked for."""
        return self.rules[level - 1]

    @property
    def is_text(self) -> bool:
        """Trees are plain texts, without a chat."""
        return self.rules[0].role == "text"

    @cached_property
    def masked(self) -> frozenset[Role]:
        """Roles whose personal data are masked for readers."""
        return frozenset(role for role in get_args(Role) if self.spec.curation.masks(role))

    def tongue(self, group: str) -> int:
        """What the model of an engine group speaks."""
        return self.tongues[self.spec.model_index(group)]

    def dialect(self, group: str) -> Dialect:
        """The dialect of an engine group's model."""
        return self.dialects[self.tongue(group)]
