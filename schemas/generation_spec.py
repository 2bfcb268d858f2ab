"""GenerationSpec: all that decides rows. It is hashed whole into the run id.

Where models and results lie, and how the work is run, is `ExecutionSpec`, which is never hashed.
"""

import math
from collections.abc import Iterator
from string import Formatter
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from schemas.curation_spec import CurationSpec, Strict
from schemas.records import Sampling

MAX_FANOUT = 1024
"""A larger fan-out at level 1 is planned as several trees from one root."""

DEFAULT_OVERSAMPLE = (2.0, 1.5, 1.0)
"""By level; the last one holds for all deeper levels."""

GREEDY_BELOW = 1e-5

MAX_NUMBERS = 2**31 - 1
"""In a column of lists."""

MAX_LEVELS = 100
"""Of a file's 255 bytes a wave's name takes 2 a level, 10 for its cohort, and a digit more for each
factor of ten among candidates (15) and in a wave (9); attempt or epoch, and suffix, take 17."""

MAX_CANDIDATES = 10**15
"""Of a tree; what is counted stays a number that all parts can hold."""

Positive = Annotated[int, Field(ge=1, le=MAX_NUMBERS)]
"""Columns of 32 bits hold it."""
Weight = Annotated[float, Field(ge=1e-9, le=1e9)]


def check_places(where: str, template: str, known: set[str]) -> None:
    """A template may fill in what is known, by name only."""
    try:
        places = list(Formatter().parse(template))
    except ValueError as error:
        raise ValueError(
            f"{where}: not a template: {error}; write a brace twice to mean itself"
        ) from error
    for _, name, form, conversion in places:
        if name is not None and name not in known:
            raise ValueError(
                f"{where}: knows nothing of {{{name}}}; expected one of "
                f"{', '.join(f'{{{name}}}' for name in sorted(known))}"
            )
        if form or conversion:
            found = "".join([f"!{conversion}" if conversion else "", f":{form}" if form else ""])
            raise ValueError(
                f"{where}: found {{{name}{found}}}, expected {{{name}}}: texts are filled in as "
                "they are"
            )


def fills_in(template: str, name: str) -> bool:
    """Whether a template has a place for what is called so."""
    return any(found == name for _, found, _, _ in Formatter().parse(template))


class ModelSpec(Strict):
    """Which model writes. Its content digests join the run's identity when the run starts."""

    name: str
    """A label for people; lands in the run file."""
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    quantization: str | None = None
    context: Annotated[int, Field(ge=32, le=MAX_NUMBERS)]
    """Tokens a prompt and its answer may take together."""


class Topic(Strict):
    """A system prompt, and how often it is used relative to the others."""

    text: str
    weight: Weight = 1.0


Column = Literal["text", "system", "messages", "reference"]


class DataSpec(Strict):
    """How the rows of `execution.roots` are read: files, or the sealed run that lies there."""

    columns: dict[Column, str] = {}
    """Our names to theirs. A column that is not named here is found by our name, else by one that
    usually means the same: text (prompt, question, instruction, query, input), reference (answer,
    response, completion, output), messages (conversations), system (system_prompt). A row that
    has no text where its system prompt would stand goes without one."""
    template: str = "{text}"
    """What becomes of each text, for example a system prompt around a topic."""
    level: Positive | None = None
    """Of a run: its kept nodes at this level are the rows."""
    limit: Positive | None = None
    """The first so many good rows; None: all."""
    max_bad_share: Annotated[float, Field(ge=0.0, le=1.0)] = 0.01
    """Rows that cannot be read are counted and named; beyond this share nothing is begun."""

    @model_validator(mode="after")
    def _known_places(self) -> Self:
        check_places("template", self.template, {"text"})
        if not fills_in(self.template, "text"):
            raise ValueError(
                f"template: found {self.template!r}, expected {{text}} in it: without it all rows "
                "would be the same"
            )
        return self


class RootsSpec(Strict):
    """What trees grow from: topics, or rows of data, or (neither) the recipe's bare beginning."""

    trees: Positive | None = None
    """How many trees; None: one for each topic or row. Topics share them by weight, largest
    remainder first; rows are taken in order, and again from the first."""
    topics: tuple[Topic, ...] = ()
    data: DataSpec | None = None
    examples: Annotated[int, Field(ge=1, le=64)] = 1
    """Rows drawn for each tree, where a recipe shows several to the model."""

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if self.topics and self.data is not None:
            raise ValueError("data: found beside topics; expected one of the two")
        return self


class CritiqueSpec(Strict):
    """A second pass over an answer: what is wrong with it, then the answer again."""

    critique: Annotated[str, Field(min_length=1)]
    """Asked about the answer."""
    rewrite: Annotated[str, Field(min_length=1)]
    """Asked after the critique; what comes back takes the answer's place."""
    critique_tokens: Positive = 256
    rewrite_tokens: Positive | None = None
    """None: as many as the level's max_tokens."""
    temperature: Annotated[float, Field(ge=0.0, le=2.0)] = 0.0
    engine: str = "main"


class LevelSpec(Strict):
    """One level of the tree: who speaks, how many children, and how they are sampled."""

    role: Literal["user", "assistant", "text"]
    """`text` continues what is there, without a template."""
    fanout: Positive
    """Children kept of each parent, at most."""
    oversample: Annotated[float, Field(ge=1.0, le=64.0)] | None = None
    """Ask for ceil(oversample x fanout); None takes the default of its level: 2, 1.5, then 1."""
    max_tokens: Positive
    temperature: Annotated[float, Field(ge=0.0, le=2.0)] = 1.0
    top_p: Annotated[float, Field(gt=0.0, le=1.0)] = 1.0
    top_k: Annotated[int, Field(ge=0, le=MAX_NUMBERS)] = 0
    min_p: Annotated[float, Field(ge=0.0, le=1.0)] = 0.0
    repetition_penalty: Annotated[float, Field(gt=0.0, le=2.0)] = 1.0
    stop: tuple[Annotated[str, Field(min_length=1)], ...] = ()
    """Texts that end the turn, besides the template's own terminators."""
    ignore_eos: bool = False
    """Nothing but `stop` ends the turn before max_tokens."""
    system: str | None = None
    """A system prompt that is there only while this level is asked for; None: the root's own."""
    shown: str | None = None
    """A user's message that stands there only while this level is asked for, in place of the root's
    last one; {text} and {reference} of the root's row are filled in. Level 1 only."""
    say: str | None = None
    """A user's message that is given before each of this level's assistant turns, and stays."""
    critique: CritiqueSpec | None = None
    """Assistant turns get a second pass."""
    engine: str = "main"
    """The engine group of `execution.engines` that writes this level."""

    @model_validator(mode="after")
    def _known_places(self) -> Self:
        check_places("shown", self.shown or "", {"text", "reference"})
        return self

    def sampling(
        self, *, logprobs: Literal["none", "sum", "tokens"], top_logprobs: int = 0
    ) -> Sampling:
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
            top_logprobs=top_logprobs,
            ignore_eos=self.ignore_eos,
        )


class BoundsSpec(Strict):
    """How a run is cut into cohorts and waves. These decide rows."""

    trees_per_cohort: Positive = 8
    """At most; fewer where their openings would not fit into one wave."""
    candidates_per_wave: Positive = 2048
    """At most, but a wave always has at least one parent."""


class GenerationSpec(Strict):
    """A run, as far as its rows are concerned."""

    recipe: str = "tg-sft"
    """A method by name, or `package.module:Class` for one of your own."""
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    guarantee: Literal["none", "seeded", "batch-invariant"] = "seeded"
    """What a repetition may expect: nothing; the same seeds; the same text on the same hardware."""
    model: ModelSpec
    models: dict[str, ModelSpec] = {}
    """Engine groups that run another model than `model`."""
    roots: RootsSpec = RootsSpec()
    levels: Annotated[tuple[LevelSpec, ...], Field(min_length=1, max_length=MAX_LEVELS)]
    turns: dict[Annotated[int, Field(ge=0, le=MAX_NUMBERS)], Weight] = {}
    """Share of opening questions whose dialogues have so many turns (a question and its answer
    each); empty: all go to the last level."""
    logprobs: Literal["none", "sum", "tokens"] = "sum"
    top_logprobs: Annotated[int, Field(ge=0, le=1024)] = 0
    """The most likely tokens at each position, with the mass of all others, in `logprobs/`."""
    curation: CurationSpec = CurationSpec()
    bounds: BoundsSpec = BoundsSpec()

    @model_validator(mode="after")
    def _no_contradictions(self) -> Self:
        self._check_size()
        self._check_context()
        self._check_lists()
        for number, level in enumerate(self.levels, start=1):
            self._check_level(number, level)
        return self

    def _check_size(self) -> None:
        """Levels multiply."""
        nodes = 1
        for number, level in enumerate(self.levels, start=1):
            candidates, nodes = nodes * self.asked(number), nodes * level.fanout
            if candidates > MAX_CANDIDATES:
                raise ValueError(
                    f"levels.{number - 1}: a tree would have {candidates:,} candidates here, "
                    f"expected at most {MAX_CANDIDATES:,}; lower fanout, or take fewer levels"
                )

    def _check_context(self) -> None:
        """Each model that is asked at a level needs room for all levels down to it."""
        above = 0
        for number, level in enumerate(self.levels, start=1):
            levels, critique = f"levels 1 to {number}", level.critique
            judge = self.curation.judge_of(level.role)
            most = level.max_tokens
            self._check_fits(f"levels.{number - 1}.max_tokens", levels, level.engine, above + most)
            if critique is not None:
                again = critique.rewrite_tokens or most
                total = above + most + critique.critique_tokens + again
                where, what = f"levels.{number - 1}.critique", f"{levels}, critique and rewriting,"
                self._check_fits(where, what, critique.engine, total)
                most = max(most, again)
            if judge is not None:
                where, what = "curation.filters.judge.max_tokens", f"{levels} and their judgement"
                self._check_fits(where, what, judge.engine, above + most + judge.max_tokens)
            above += most

    def _check_fits(self, where: str, what: str, group: str, total: int) -> None:
        context = self.model_of(group).context
        model = f"models.{group}" if group in self.models else "model"
        if total >= context:
            raise ValueError(
                f"{where}: {what} may take {total} tokens, but {model}.context is {context}; "
                f"lower max_tokens or raise {model}.context"
            )

    def _check_lists(self) -> None:
        """All likely tokens of a wave are lists of one table."""
        for number, level in enumerate(self.levels, start=1):
            # A larger first fan-out is shared by several trees.
            of_parent = min(self.asked(number), math.ceil(self.oversample(number) * MAX_FANOUT))
            candidates = max(self.bounds.candidates_per_wave, of_parent)
            # A terminator has a position too, and a draft that is written again stays.
            positions = level.max_tokens + 1
            if level.critique is not None:
                positions += (level.critique.rewrite_tokens or level.max_tokens) + 1
            numbers = candidates * positions * self.top_logprobs
            bound = "bounds.candidates_per_wave"
            if candidates > self.bounds.candidates_per_wave:
                bound = f"levels.{number - 1}.fanout"
            if numbers > MAX_NUMBERS:
                raise ValueError(
                    f"top_logprobs: {self.top_logprobs} at each of {positions} positions of the "
                    f"{candidates} candidates that a wave of level {number} may have are {numbers} "
                    f"numbers, expected at most {MAX_NUMBERS}, which is what a table holds; lower "
                    f"top_logprobs, levels.{number - 1}.max_tokens or {bound}"
                )

    def _check_level(self, number: int, level: LevelSpec) -> None:
        where = f"levels.{number - 1}"
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
        for name in ("say", "critique"):
            if getattr(level, name) is not None and level.role != "assistant":
                raise ValueError(
                    f"{where}.{name}: only an assistant's turn can have it, found role {level.role}"
                )
        if level.shown is not None and number > 1:
            raise ValueError(f"{where}.shown: expected at level 1 only, found at level {number}")

    def model_index(self, group: str) -> int:
        """Which model an engine group runs: 0 is `model`, the others follow by name."""
        return 1 + sorted(self.models).index(group) if group in self.models else 0

    def model_of(self, group: str) -> ModelSpec:
        """The model that an engine group runs."""
        return self.models.get(group, self.model)

    def named_groups(self) -> Iterator[tuple[str, str]]:
        """Where it names an engine group, and which."""
        for index, level in enumerate(self.levels):
            yield f"levels.{index}.engine", level.engine
            if level.critique is not None:
                yield f"levels.{index}.critique.engine", level.critique.engine
        if self.curation.judge is not None:
            yield "curation.filters.judge.engine", self.curation.judge.engine
        for group in self.models:
            yield "models", group

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
