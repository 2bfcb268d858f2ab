"""GenerationSpec: all that decides rows. It is hashed whole into the run id.

Where models and results lie, and how the work is run, is `ExecutionSpec`, which is never hashed.
"""

import math
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from schemas.curation_spec import CurationSpec, Strict
from schemas.records import Sampling

MAX_FANOUT = 1024
"""A larger fan-out at level 1 is planned as several trees from one root."""

DEFAULT_OVERSAMPLE = (2.0, 1.5, 1.0)
"""By level; the last one holds for all deeper levels."""

GREEDY_BELOW = 1e-5


class ModelSpec(Strict):
    """Which model writes. Its content digests join the run's identity when the run starts."""

    name: str
    """A label for people; lands in the run file."""
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    quantization: str | None = None
    context: Annotated[int, Field(ge=32)]
    """Tokens a prompt and its answer may take together."""


class Topic(Strict):
    """A system prompt, and how often it is used relative to the others."""

    text: str
    weight: Annotated[float, Field(gt=0)] = 1.0


class RootsSpec(Strict):
    """What trees grow from."""

    trees: Annotated[int, Field(ge=1)]
    """How many trees. Topics share them by weight, largest remainder first."""
    topics: Annotated[tuple[Topic, ...], Field(min_length=1)]


class LevelSpec(Strict):
    """One level of the tree: who speaks, how many children, and how they are sampled."""

    role: Literal["user", "assistant"]
    fanout: Annotated[int, Field(ge=1)]
    """Children kept of each parent, at most."""
    oversample: Annotated[float, Field(ge=1.0, le=64.0)] | None = None
    """Ask for ceil(oversample x fanout); None takes the default of its level: 2, 1.5, then 1."""
    max_tokens: Annotated[int, Field(ge=1)]
    temperature: Annotated[float, Field(ge=0.0, le=2.0)] = 1.0
    top_p: Annotated[float, Field(gt=0.0, le=1.0)] = 1.0
    top_k: Annotated[int, Field(ge=0)] = 0
    min_p: Annotated[float, Field(ge=0.0, le=1.0)] = 0.0
    repetition_penalty: Annotated[float, Field(gt=0.0, le=2.0)] = 1.0
    stop: tuple[str, ...] = ()
    """Texts that end the turn, besides the template's own terminators."""
    engine: str = "main"
    """The engine group of `execution.engines` that writes this level."""

    def sampling(self, *, logprobs: Literal["none", "sum", "tokens"]) -> Sampling:
        """Its sampling, without the stops that the dialect adds."""
        return Sampling(
            max_tokens=self.max_tokens,
            temperature=self.temperature,
            top_p=self.top_p,
            top_k=self.top_k,
            min_p=self.min_p,
            repetition_penalty=self.repetition_penalty,
            stop_strings=self.stop,
            logprobs=logprobs,
        )


class BoundsSpec(Strict):
    """How a run is cut into cohorts and waves. These decide rows."""

    trees_per_cohort: Annotated[int, Field(ge=1)] = 8
    """At most; fewer where their openings would not fit into one wave."""
    candidates_per_wave: Annotated[int, Field(ge=1)] = 2048
    """At most, but a wave always has at least one parent."""


class GenerationSpec(Strict):
    """A run, as far as its rows are concerned."""

    recipe: Literal["tg-sft"] = "tg-sft"
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    guarantee: Literal["none", "seeded", "batch-invariant"] = "seeded"
    """What a repetition may expect: nothing; the same seeds; the same text on the same hardware."""
    model: ModelSpec
    roots: RootsSpec
    levels: Annotated[tuple[LevelSpec, ...], Field(min_length=1)]
    turns: dict[int, Annotated[float, Field(gt=0)]] = {}
    """Share of opening questions whose dialogues have so many turns (a question and its answer
    each); empty: all go to the last level."""
    logprobs: Literal["none", "sum", "tokens"] = "sum"
    curation: CurationSpec = CurationSpec()
    bounds: BoundsSpec = BoundsSpec()

    @model_validator(mode="after")
    def _no_contradictions(self) -> Self:
        self._check_context()
        for number, level in enumerate(self.levels, start=1):
            self._check_level(number, level)
        for turns in self.turns:
            if not 1 <= turns <= len(self.levels) // 2:
                raise ValueError(
                    f"turns.{turns}: the levels hold {len(self.levels) // 2} turns; "
                    f"expected a number of turns from 1 to {len(self.levels) // 2}"
                )
        return self

    def _check_context(self) -> None:
        total = 0
        for number, level in enumerate(self.levels, start=1):
            total += level.max_tokens
            if total >= self.model.context:
                raise ValueError(
                    f"levels.{number - 1}.max_tokens: levels 1 to {number} may take {total} "
                    f"tokens, but model.context is {self.model.context}; "
                    "lower max_tokens or raise model.context"
                )

    def _check_level(self, number: int, level: LevelSpec) -> None:
        where = f"levels.{number - 1}"
        expected = "user" if number % 2 == 1 else "assistant"
        if level.role != expected:
            raise ValueError(
                f"{where}.role: found {level.role}, expected {expected}; "
                "roles alternate, user first"
            )
        if level.temperature < GREEDY_BELOW and self.asked(number) > 1:
            raise ValueError(
                f"{where}.temperature: {level.temperature} is greedy, so all "
                f"{self.asked(number)} children asked of a parent would be the same; "
                "expected fanout 1 and oversample 1, or a temperature above 0"
            )
        if number > 1 and level.fanout > MAX_FANOUT:
            raise ValueError(
                f"{where}.fanout: found {level.fanout}, expected at most {MAX_FANOUT} below level 1"
            )

    def oversample(self, level: int) -> float:
        """How many candidates are asked for each child kept at a level (from 1)."""
        chosen = self.levels[level - 1].oversample
        last = len(DEFAULT_OVERSAMPLE) - 1
        if chosen is not None:
            return chosen
        if self.levels[level - 1].temperature < GREEDY_BELOW:
            return 1.0
        return DEFAULT_OVERSAMPLE[min(level - 1, last)]

    def asked(self, level: int) -> int:
        """Candidates asked of each parent at a level (from 1)."""
        return math.ceil(self.oversample(level) * self.levels[level - 1].fanout)
