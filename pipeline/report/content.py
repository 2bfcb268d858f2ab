"""Everything that a report says of one run, as values that JSON and page are made of."""

from dataclasses import asdict, dataclass, field
from typing import Any

from pipeline.curate.languages import Languages
from pipeline.report.course import Course
from pipeline.report.dialogues import Dialogues
from pipeline.report.diversity import Diversity
from pipeline.report.engines import Engines
from pipeline.report.foretold import Guess
from pipeline.report.funnel import Funnel
from pipeline.report.lengths import Lengths
from pipeline.report.prompts import Prompts
from pipeline.report.repeats import RepeatGroups
from pipeline.report.topics import Topics

FORMAT = 1
"""Of the JSON; only names are ever added to one."""


@dataclass(frozen=True)
class Header:
    """Which run, and how far it is."""

    name: str
    """What tells it apart: the end of its location's folder, or its run id."""
    location: str
    run_id: str
    recipe: str
    models: tuple[str, ...]
    state: str
    """`sealed`, `growing` ..., as `arborist status` says it."""
    snapshot: int | None
    complete: bool
    guarantee: str
    biases: tuple[str, ...] | None
    cohorts: int
    """Of the plan."""
    sealed_cohorts: int
    trees: int
    attempts: int
    repairs: int
    notes: tuple[str, ...] = ()
    """What a reader must know before believing anything below."""


@dataclass(frozen=True)
class LevelReport:
    """One level."""

    level: int
    role: str
    funnel: Funnel
    parents: int
    prompt_tokens: int
    output_tokens: int
    aside_tokens: int
    unused_tokens: int
    """Sampled ahead of its waves' ends, and not wanted then."""
    lengths: Lengths | None = None
    """Of what remains; None where nothing does."""
    finished: dict[str, int] = field(default_factory=dict)
    diversity: Diversity | None = None
    languages: Languages | None = None


@dataclass(frozen=True)
class Example:
    """A dropped turn to look at."""

    node_id: str
    level: int
    role: str
    text: str
    similarity: float | None
    keeper_id: str | None


@dataclass(frozen=True)
class RunReport:
    """One run."""

    header: Header
    funnel: Funnel
    levels: tuple[LevelReport, ...]
    course: Course
    engines: Engines
    guesses: tuple[Guess, ...]
    pilot_candidates: int | None
    prompts: Prompts
    topics: Topics | None
    vectors_by: str
    """What topics were clustered by."""
    repeats: RepeatGroups
    refined: RepeatGroups | None
    """What fell in refinements."""
    reasons: dict[str, tuple[Example, ...]]
    asides: dict[str, int]
    dialogues: Dialogues
    spec: str
    """The section `generation`, as YAML."""
    facts: dict[str, str]
    """Versions, digests, licences, by name."""
    commands: tuple[str, ...]
    """By which anyone makes the same run."""
    unknown: tuple[str, ...]
    """What manifests cannot tell, in sentences."""

    @property
    def tokens(self) -> int:
        """Sampled, whatever became of them."""
        return sum(
            level.output_tokens + level.aside_tokens + level.unused_tokens for level in self.levels
        )


def as_json(reports: tuple[RunReport, ...]) -> dict[str, Any]:
    """All figures and texts, one object a run, with what follows from them."""
    return {"format": FORMAT, "runs": [_run_json(report) for report in reports]}


def _run_json(report: RunReport) -> dict[str, Any]:
    plain = asdict(report)
    plain["tokens"] = report.tokens
    plain["tokens_per_s"] = report.tokens / report.course.busy_s if report.course.busy_s else 0.0
    plain["prompts"]["reusable"] = report.prompts.reusable
    _add_engines(report.engines, plain["engines"])
    plain["funnel"]["steps"] = [asdict(step) for step in report.funnel.steps()]
    for guess, shown in zip(report.guesses, plain["guesses"], strict=True):
        shown |= {"off": guess.off, "within": guess.within}
    for level, shown in zip(report.course.levels, plain["course"]["levels"], strict=True):
        shown["tokens_per_s"] = level.tokens_per_s
    for attempt, shown in zip(report.course.attempts, plain["course"]["attempts"], strict=True):
        shown["busy_share"] = attempt.busy_share
    del plain["course"]["bars"]
    return plain


def _add_engines(engines: Engines, shown: dict[str, Any]) -> None:
    shown |= {"cached_share": engines.cached_share, "work_share": engines.work_share}
    for time, told in zip(engines.times, shown["times"], strict=True):
        told["engines"] = [one.model_dump() for one in time.engines]
