"""How a scripted engine behaves: its speed, what it writes, and its faults."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Annotated, Any

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from schemas.errors import SpecError

Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=0, le=2**31 - 1)]


@dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid"))
class ScriptedConfig:
    """The default is a fast, healthy engine whose turns are all different."""

    max_num_seqs: Annotated[int, Field(ge=1, le=2**31 - 1)] = 256
    context: Annotated[int, Field(ge=2, le=2**31 - 1)] = 1 << 20
    step_s: Annotated[float, Field(ge=0, le=3600)] = 0.0
    """Time a step takes."""
    tokens_per_step: Annotated[int, Field(ge=1, le=2**31 - 1)] = 16
    """By each running child."""
    mean_tokens: Annotated[float, Field(ge=1, le=2**31 - 1)] = 80.0
    """A token is a byte."""
    sigma: Annotated[float, Field(ge=0, le=3)] = 0.5
    """Spread of the log-normal lengths; 0 makes them all alike."""

    duplicate_share: Share = 0.0
    """Turns that all say the same."""
    empty_share: Share = 0.0
    leak_share: Share = 0.0
    """Turns that go on to play the user."""
    truncate_share: Share = 0.0
    """Turns that go on until max_tokens."""
    fail_share: Share = 0.0
    """Children that end as a failure with reason `engine`."""

    load_s: Annotated[float, Field(ge=0)] = 0.0
    """Time that a start takes."""
    fail_start: bool = False
    hang_start: bool = False
    """A start never ends."""
    die_after: Count | None = None
    """A step raises once so many children have finished."""
    hang_after: Count | None = None
    """Steps stand still once so many children have finished."""
    poison: Annotated[str, Field(min_length=1)] | None = None
    """A prompt that holds this text kills the engine."""
    repeat_share: Share = 0.0
    """Outcomes that are handed out again in the next step."""
    late_share: Share = 0.0
    """Outcomes that are held back for some steps."""
    faulty_incarnations: tuple[int, ...] | None = None
    """Only these have the faults from `fail_start` on; None: all."""

    def __post_init__(self) -> None:
        if sum(self.habits.values()) > 1:
            shares = ", ".join(f"{name}_share {share}" for name, share in self.habits.items())
            raise ValueError(f"expected shares that add up to at most 1, found {shares}")

    @property
    def habits(self) -> dict[str, float]:
        """The shares of turns that are not ordinary."""
        return {
            "fail": self.fail_share,
            "duplicate": self.duplicate_share,
            "empty": self.empty_share,
            "leak": self.leak_share,
            "truncate": self.truncate_share,
        }

    def faulty(self, incarnation: int) -> bool:
        """Whether an incarnation has the faults that are set."""
        return self.faulty_incarnations is None or incarnation in self.faulty_incarnations

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any]) -> "ScriptedConfig":
        """From a spec's `scripted` section."""
        try:
            return TypeAdapter(cls).validate_python(dict(settings))
        except ValidationError as error:
            raise SpecError(_explain(error)) from error


def _explain(error: ValidationError) -> str:
    problems = []
    for problem in error.errors():
        name = ".".join(map(str, problem["loc"]))
        if problem["type"] == "unexpected_keyword_argument":
            known = ", ".join(field.name for field in fields(ScriptedConfig))
            problems.append(f"{name}: unknown; expected one of {known}")
        else:
            problems.append(f"{name}: found {problem['input']!r}; {problem['msg']}")
    return "execution.engines, section `scripted`: " + "; ".join(problems)
