"""CurationSpec: what is dropped while trees grow, and by which thresholds. Part of GenerationSpec.

Each filter stands in the list by its name, or as a mapping with its thresholds; they are applied
in order, and the first that hits names the reason. A filter may stand there more than once, for
example with other thresholds for the other role.
"""

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Discriminator, Field, model_validator

from schemas.writing import LANGUAGES, is_script

LOWEST_NEAR = 0.7
"""Below it, 25 bands of 5 rows miss more and more pairs; here they miss one in a hundred."""

Share = Annotated[float, Field(ge=0.0, le=1.0)]
Count = Annotated[int, Field(ge=0)]


class Strict(BaseModel):
    """Frozen, and unknown keys are refused. All numbers are finite, so that JSON can hold them."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class FilterSpec(Strict):
    """One filter of the list."""

    roles: Annotated[tuple[Literal["user", "assistant"], ...], Field(min_length=1)] = (
        "user",
        "assistant",
    )
    """The turns that it looks at."""


class EmptySpec(FilterSpec):
    """No visible text."""

    filter: Literal["empty"] = "empty"


class TruncatedSpec(FilterSpec):
    """Did not come to its own end."""

    filter: Literal["truncated"] = "truncated"


class RoleLeakSpec(FilterSpec):
    """Holds a marker of the template."""

    filter: Literal["role_leak"] = "role_leak"


class LengthSpec(FilterSpec):
    """Too short or too long, in tokens or characters."""

    filter: Literal["length"] = "length"
    min_tokens: Count = 1
    max_tokens: Count | None = None
    min_chars: Count = 1
    max_chars: Count | None = None

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        for unit in ("tokens", "chars"):
            least, most = getattr(self, f"min_{unit}"), getattr(self, f"max_{unit}")
            if most is not None and most < least:
                raise ValueError(f"max_{unit}: found {most}, expected at least min_{unit}, {least}")
        return self


class RepetitionSpec(FilterSpec):
    """Says the same again: Gopher's shares of repeated lines and word n-grams."""

    filter: Literal["repetition"] = "repetition"
    duplicate_lines: Share = 0.30
    """Share of lines that were there before."""
    duplicate_line_chars: Share = 0.20
    top_2gram: Share = 0.20
    """Share of characters inside the most frequent n-gram, where it stands more than once."""
    top_3gram: Share = 0.18
    top_4gram: Share = 0.16
    duplicate_5gram: Share = 0.15
    """Share of characters inside n-grams that were there before."""
    duplicate_10gram: Share = 0.10
    min_words: Count = 50
    """Shorter turns are not judged: the published shares are of documents of so many words."""


class CharRepetitionSpec(FilterSpec):
    """Strings of characters come again and again: ROOTS' character repetition ratio."""

    filter: Literal["char_repetition"] = "char_repetition"
    max_share: Share = 0.20
    min_chars: Count = 50


class LanguageSpec(FilterSpec):
    """Not in one of the languages asked for."""

    filter: Literal["language"] = "language"
    allowed: Annotated[tuple[str, ...], Field(min_length=1)] = ("en",)
    """Codes of languages that are told apart, mostly of ISO 639-1."""
    min_probability: Share = 0.5
    """Of the allowed languages together."""
    min_chars: Count = 20
    """Shorter turns are not judged."""

    @model_validator(mode="after")
    def _known(self) -> Self:
        if unknown := sorted(set(self.allowed) - LANGUAGES):
            raise ValueError(f"allowed: found {unknown}, expected some of {sorted(LANGUAGES)}")
        return self


class SymbolsSpec(FilterSpec):
    """Made of symbols rather than words: Gopher's symbol, ellipsis and bullet rules."""

    filter: Literal["symbols"] = "symbols"
    max_symbol_to_word: Annotated[float, Field(ge=0.0)] = 0.10
    """Hash signs and ellipses per word."""
    min_alphabetic_words: Share = 0.80
    """Share of words with at least one letter."""
    max_bullet_lines: Share = 0.90
    max_ellipsis_lines: Share = 0.30
    min_words: Count = 5


class AlphabetSpec(FilterSpec):
    """Written in other letters than those asked for."""

    filter: Literal["alphabet"] = "alphabet"
    scripts: Annotated[tuple[str, ...], Field(min_length=1)] = ("latin",)
    """Names of scripts as Unicode begins its letters' names with, in lower case."""
    min_share: Share = 0.90
    """Of all letters."""
    min_letters: Count = 10

    @model_validator(mode="after")
    def _known(self) -> Self:
        for script in self.scripts:
            if not is_script(script):
                raise ValueError(
                    f"scripts: found {script!r}, which begins the Unicode name of no letter; "
                    "expected such as latin, cyrillic, greek, arabic, devanagari, cjk, hangul"
                )
        return self


class RefusalSpec(FilterSpec):
    """Refuses, or speaks of itself as a model."""

    filter: Literal["refusal"] = "refusal"
    roles: Annotated[tuple[Literal["user", "assistant"], ...], Field(min_length=1)] = ("assistant",)
    phrases: tuple[str, ...] = ()
    """Beside the built-in ones."""


class BoilerplateSpec(FilterSpec):
    """Text of web pages and of prompts: C4's phrases, fill-ins left open."""

    filter: Literal["boilerplate"] = "boilerplate"
    phrases: tuple[str, ...] = ()
    """Beside the built-in ones."""


class PathRepetitionSpec(FilterSpec):
    """Says nearly what an earlier turn of its role on the path said."""

    filter: Literal["path_repetition"] = "path_repetition"
    max_similarity: Share = 0.80
    """Jaccard, of the same shingles as near duplicates."""


class EchoSpec(FilterSpec):
    """Repeats the turn that it answers."""

    filter: Literal["echo"] = "echo"
    max_share: Share = 0.80
    """Of its own character shingles, those that the turn before has."""
    min_chars: Count = 20


class LikelihoodSpec(FilterSpec):
    """Mean log-probability of its tokens outside a band."""

    filter: Literal["likelihood"] = "likelihood"
    min_mean: Annotated[float, Field(le=0.0)] = -6.0
    max_mean: Annotated[float, Field(le=0.0)] = 0.0
    min_tokens: Count = 5


class ProfanitySpec(FilterSpec):
    """Words of a list of profanities: a weak sign, so the share is a score first."""

    filter: Literal["profanity"] = "profanity"
    max_share: Share = 0.05
    """Of its words."""
    min_words: Count = 2
    """Found at least: one alone may have another sense."""


class PiiSpec(FilterSpec):
    """Personal data by pattern: mail addresses, phone, card and account numbers, IP addresses."""

    filter: Literal["pii"] = "pii"
    action: Literal["drop", "mask"] = "drop"
    """`mask` keeps the turn as it was sampled, and exports of messages replace what was found."""


class DecontaminateSpec(FilterSpec):
    """Holds words of a benchmark of `execution.benchmarks`."""

    filter: Literal["decontaminate"] = "decontaminate"
    ngram: Annotated[int, Field(ge=5, le=50)] = 13
    """Words in a row that must agree, after case and punctuation are taken away."""
    max_share: Share = 0.0
    """Of its words, those inside such n-grams."""


class JudgeSpec(FilterSpec):
    """The score that the model itself gives a turn, asked in the turn's own conversation."""

    filter: Literal["judge"] = "judge"
    question: str = (
        "Rate the previous message from 1 (poor) to 5 (excellent). Answer with the number only."
    )
    low: float = 1.0
    high: float = 5.0
    """A number outside of low..high is no score."""
    min_score: float = 3.0
    max_tokens: Annotated[int, Field(ge=1)] = 8
    engine: str = "main"
    """The engine group that judges. A model that thinks first needs a larger max_tokens."""

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if not self.low <= self.min_score <= self.high:
            raise ValueError(
                f"min_score: found {self.min_score}, expected low to high, "
                f"which are {self.low} and {self.high}"
            )
        return self


AnyFilter = Annotated[
    EmptySpec
    | TruncatedSpec
    | RoleLeakSpec
    | LengthSpec
    | RepetitionSpec
    | CharRepetitionSpec
    | LanguageSpec
    | SymbolsSpec
    | AlphabetSpec
    | RefusalSpec
    | BoilerplateSpec
    | PathRepetitionSpec
    | EchoSpec
    | LikelihoodSpec
    | ProfanitySpec
    | PiiSpec
    | DecontaminateSpec
    | JudgeSpec,
    Discriminator("filter"),
]


def _by_name(value: Any) -> Any:
    """A bare name stands for the filter with its published thresholds."""
    return {"filter": value} if isinstance(value, str) else value


class DiversitySpec(Strict):
    """Maximal marginal relevance among siblings, over the vectors of `execution.embedder`."""

    weight: Share = 0.5
    """lambda: 1 orders by relevance to the query alone, 0 by novelty alone."""
    query: Literal["parent", "topic"] = "parent"
    """What a turn shall be relevant to: the turn before it (the topic, for openings), or always
    the topic."""
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
    """Among siblings and among a cohort's openings: the same text, or nearly the same."""
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
