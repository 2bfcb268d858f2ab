"""What `arborist report` prints: where the page lies, and the first thing that it says."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from pipeline.report.content import RunReport
from pipeline.report.page.words import count, figure, plural, share, span


def as_text(reports: Sequence[RunReport], place: Path) -> str:
    """A few lines."""
    lines = [line for report in reports for line in _of_run(report)]
    return "\n".join([*lines, f"report: {place}"])


def _of_run(report: RunReport) -> Iterator[str]:
    head, funnel, course = report.header, report.funnel, report.course
    speed = report.tokens / course.busy_s if course.busy_s else 0.0
    yield (
        f"{head.name}: {head.state}; {count(funnel.remains)} rows of {count(funnel.asked)} asked "
        f"for ({share(funnel.kept, funnel.asked)} kept), {count(report.tokens)} tokens in "
        f"{span(course.busy_s)}, {figure(speed)} a second, {plural(head.attempts, 'attempt')}"
    )
    yield from (f"  {note}" for note in head.notes)
