"""The filters that a spec may list, each with its thresholds."""

import re
from typing import Annotated, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    field_validator,
    model_validator,
)

from schemas.writing import LANGUAGES, is_script

Share = Annotated[float, Field(ge=0.0, le=1.0)]
Count = Annotated[int, Field(ge=0, le=2**31 - 1)]
Roles = Annotated[tuple[Literal["user", "assistant", "text"], ...], Field(min_length=1)]


class Strict(BaseModel):
    """Frozen, and unknown keys are refused. All numbers are finite, so that JSON can hold them."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class FilterSpec(Strict):
    """One filter of the list."""

    roles: Roles = ("user", "assistant", "text")
    """The turns that it looks at."""


class EmptySpec(FilterSpec):
    """No visible text."""

    filter: Literal["empty"] = "empty"


class TruncatedSpec(FilterSpec):
    """Did not come to its own end."""

    filter: Literal["truncated"] = "truncated"


class RoleLeakSpec(FilterSpec):
    """Holds a marker of the template, or another control token."""

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
    roles: Roles = ("assistant", "text")
    phrases: tuple[str, ...] = ()
    """Beside the built-in ones."""


class BoilerplateSpec(FilterSpec):
    """Text of web pages and of prompts: C4's phrases, fill-ins left open."""

    filter: Literal["boilerplate"] = "boilerplate"
    phrases: tuple[str, ...] = ()
    """Beside the built-in ones."""


class GivesAwaySpec(FilterSpec):
    """Shows that an answer by somebody else was there while it was written."""

    filter: Literal["gives_away"] = "gives_away"
    roles: Roles = ("assistant",)
    phrases: tuple[str, ...] = ()
    """Instead of the built-in ones, if there are any."""

    @field_validator("phrases")
    @classmethod
    def _of_words(cls, phrases: tuple[str, ...]) -> tuple[str, ...]:
        for phrase in phrases:
            if not any(map(str.isalnum, phrase)):
                raise ValueError(f"found {phrase!r}, expected words")
        return phrases


class DisagreesSpec(FilterSpec):
    """Comes to another final answer than the reference."""

    filter: Literal["disagrees"] = "disagrees"
    roles: Roles = ("assistant",)
    final: Literal["number", "choice", "line", "pattern"] = "number"
    """Where it stands: the last number (a boxed one or one after `####` before others), the letter
    that is chosen, the last line, or what the one group of `pattern` finds last."""
    pattern: str | None = None
    """A regular expression of Python, looked for in the last 4,000 characters. Its time is not
    bounded: repeats inside of repeats, as in (a+)+, may take for ever."""

    @model_validator(mode="after")
    def _pattern_with_one_group(self) -> Self:
        if self.pattern is not None:
            _check_pattern(self.pattern)
        if self.final == "pattern" and self.pattern is None:
            raise ValueError("pattern: missing, expected one with `final: pattern`")
        if self.final != "pattern" and self.pattern is not None:
            raise ValueError(
                f"pattern: found one with `final: {self.final}`, expected none; "
                "it is looked for with `final: pattern`"
            )
        return self


def _check_pattern(pattern: str) -> None:
    try:
        groups = re.compile(pattern).groups
    except (re.error, OverflowError, RecursionError) as error:
        raise ValueError(f"pattern: {pattern!r} is no regular expression: {error}") from error
    if groups != 1:
        raise ValueError(
            f"pattern: found {groups} groups in {pattern!r}, expected one, around the final "
            "answer; (?:...) groups without being counted"
        )


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
    """The score that the model itself gives a turn, asked in the turn's own conversation.

    Plain text stands in none, and is not judged.
    """

    filter: Literal["judge"] = "judge"
    roles: Annotated[tuple[Literal["user", "assistant"], ...], Field(min_length=1)] = (
        "user",
        "assistant",
    )
    question: str = (
        "Rate the previous message from 1 (poor) to 5 (excellent). Answer with the number only."
    )
    low: float = 1.0
    high: float = 5.0
    """A number outside of low..high is no score."""
    min_score: float = 3.0
    max_tokens: Annotated[int, Field(ge=1, le=2**31 - 1)] = 8
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
    | GivesAwaySpec
    | DisagreesSpec
    | PathRepetitionSpec
    | EchoSpec
    | LikelihoodSpec
    | ProfanitySpec
    | PiiSpec
    | DecontaminateSpec
    | JudgeSpec,
    Discriminator("filter"),
]
