"""What a pilot said, for a person: before the run, and beside what became of it."""

from collections.abc import Callable, Iterator

from pipeline.plan.budget import amount
from pipeline.report.status import Status
from schemas.estimate import Estimate, LevelEstimate, Range


def estimate_text(found: Estimate) -> str:
    """The estimate as a table, and what it cannot tell."""
    lines = [
        f"By a pilot of {found.pilot_candidates:,} candidates; nine times out of ten the number "
        "lies in the brackets.",
        "",
        f"{'level':>5} {'role':<10}{'pilot':>7}{'candidates':>30}{'kept':>30}{'tokens':>30}",
    ]
    for level in found.levels:
        lines.append(
            f"{level.level:>5} {level.role:<10}{level.pilot_candidates:>7,}"
            f"{_said(level.candidates):>30}{_said(level.kept):>30}{_said(level.tokens):>30}"
        )
    lines.append(
        f"{'all':>5} {'':<10}{found.pilot_candidates:>7,}{_said(found.candidates):>30}"
        f"{_said(found.kept):>30}{_said(found.tokens):>30}"
    )
    speeds = ", ".join(f"{name} {speed:,.1f}" for name, speed in found.tokens_per_s.items())
    lines += ["", *_time_text(found), "", f"tokens/s of one engine in the pilot: {speeds}"]
    lines += ["It cannot tell:", *(f"- {sentence}." for sentence in found.unknown)]
    return "\n".join(lines)


def _time_text(found: Estimate) -> Iterator[str]:
    """A table of hours and cost by level."""
    cost = "" if found.cost is None else f"{'cost':>30}"
    yield f"{'level':>5} {'role':<10}{'hours':>30}{'GPU hours':>30}{cost}"
    for level in found.levels:
        yield f"{level.level:>5} {level.role:<10}{_times(level)}"
    yield f"{'all':>5} {'':<10}{_times(found)}"


def _times(found: LevelEstimate | Estimate) -> str:
    ranges = [found.hours, found.gpu_hours, *([found.cost] if found.cost else [])]
    return "".join(f"{_said(one, amount):>30}" for one in ranges)


def _count(value: float) -> str:
    """A number of things, short enough for a column."""
    for size, unit in ((1e12, "T"), (1e9, "G"), (1e6, "M")):
        if value >= size:
            return f"{value / size:,.2f} {unit}"
    return f"{value:,.0f}"


def _said(found: Range, told: Callable[[float], str] = _count) -> str:
    return f"{told(found.value)} ({told(found.low)}-{told(found.high)})"


def course_text(found: Estimate, status: Status, *, done: bool) -> str:
    """How far off the pilot was, or seems to be."""
    told = [
        (found.candidates, status.expected_candidates, "candidates", _count),
        (found.tokens, status.expected_tokens, "tokens", _count),
        (found.hours, status.expected_hours, "hours", amount),
    ]
    verb = "it came to" if done else "so far on course for"
    said = "; ".join(
        f"{_said(guess, words)} {name}, {verb} {words(became)} ({became / guess.value - 1:+.1%})"
        for guess, became, name, words in told
        if guess.value and became is not None
    )
    return f"pilot of {found.pilot_candidates:,} candidates said {said}"


def course_json(found: Estimate, status: Status) -> dict[str, object]:
    """The same as figures."""
    return {
        "run_id": found.pilot,
        "candidates": found.candidates.model_dump(),
        "tokens": found.tokens.model_dump(),
        "hours": found.hours.model_dump(),
        "course_candidates": round(status.expected_candidates),
        "course_tokens": round(status.expected_tokens),
        "course_hours": status.expected_hours,
    }
