"""CurationSpec: what is dropped while trees grow, and by which thresholds. Part of GenerationSpec.

Each filter stands in the list by its name, or as a mapping with its thresholds; they are applied
in order, and the first that hits names the reason. A filter may stand there more than once, for
example with other thresholds for the other role.
"""

from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from schemas.filter_spec import (
    AnyFilter,
    DecontaminateSpec,
    DisagreesSpec,
    EmptySpec,
    JudgeSpec,
    PiiSpec,
    RoleLeakSpec,
    Share,
    Strict,
    TruncatedSpec,
)

__all__ = [
    "LOWEST_NEAR",
    "CurationSpec",
    "DecontaminateSpec",
    "DiversitySpec",
    "JudgeSpec",
    "Strict",
]

LOWEST_NEAR = 0.7
"""Below it, 25 bands of 5 rows miss more and more pairs; here they miss one in a hundred."""


def _by_name(value: Any) -> Any:
    """A bare name stands for the filter with its published thresholds."""
    return {"filter": value} if isinstance(value, str) else value


class DiversitySpec(Strict):
    """Maximal marginal relevance among siblings, over the vectors of `execution.embedder`."""

    weight: Share = 0.5
    """lambda: 1 orders by relevance to the query alone, 0 by novelty alone."""
    query: Literal["parent", "topic"] = "parent"
    """What a turn shall be relevant to: its parent (for openings the topic), or always the topic,
    which is the system prompt, or the text that plain texts go on from."""
    max_cosine: Share | None = None
    """Drop what is at least so close to a kept sibling; None keeps the best however close."""


class CurationSpec(Strict):
    """What is dropped while the tree grows."""

    filters: tuple[Annotated[AnyFilter, BeforeValidator(_by_name)], ...] = (
        EmptySpec(),
        TruncatedSpec(),
        RoleLeakSpec(),
    )
    duplicates: Literal["near", "exact", "keep"] = "near"
    """Among siblings, and among a cohort's openings where these are no answers to given prompts:
    the same text, or nearly the same."""
    near_threshold: Annotated[float, Field(ge=LOWEST_NEAR, le=1.0)] = 0.8
    """Jaccard similarity of shingles from which turns are near duplicates."""
    diversity: DiversitySpec | None = DiversitySpec()
    """How the children kept are chosen among those left; None takes the first ones."""

    @model_validator(mode="after")
    def _one_judge_and_last(self) -> Self:
        judges = [i for i, entry in enumerate(self.filters) if isinstance(entry, JudgeSpec)]
        if len(judges) > 1:
            raise ValueError("filters: found `judge` more than once; expected one at most")
        if judges and judges[0] != len(self.filters) - 1:
            raise ValueError(
                f"filters.{judges[0]}: found `judge` before other filters; expected it last, "
                "because it is asked only about turns that pass all others"
            )
        return self

    @model_validator(mode="after")
    def _one_ngram(self) -> Self:
        found = {entry.ngram for entry in self.filters if isinstance(entry, DecontaminateSpec)}
        if len(found) > 1:
            raise ValueError(
                f"filters: found `decontaminate` with ngram {sorted(found)}; expected the same "
                "everywhere, as benchmarks are cut but once"
            )
        return self

    @model_validator(mode="after")
    def _one_pattern(self) -> Self:
        found = {e.pattern for e in self.filters if isinstance(e, DisagreesSpec) and e.pattern}
        if len(found) > 1:
            raise ValueError(
                f"filters: found `disagrees` with the patterns {sorted(found)}; expected the same "
                "everywhere, as each has but one score"
            )
        return self

    @property
    def judge(self) -> JudgeSpec | None:
        """The question to the model, if there is one."""
        return next((entry for entry in self.filters if isinstance(entry, JudgeSpec)), None)

    def masks(self, role: str) -> bool:
        """Whether personal data in turns of a role are masked in exports."""
        return any(
            isinstance(entry, PiiSpec) and entry.action == "mask" and role in entry.roles
            for entry in self.filters
        )

    def judge_of(self, role: str) -> JudgeSpec | None:
        """The question about turns of a role, if there is one."""
        return self.judge if self.judge is not None and role in self.judge.roles else None
