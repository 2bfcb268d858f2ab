"""Sections on the run as a whole: at a glance, what was asked and came, tokens and time."""

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from html import escape

from pipeline.page.elements import MINUS, prose
from pipeline.report.content import LevelReport, RunReport
from pipeline.report.engines import Engines
from pipeline.report.foretold import Guess
from pipeline.report.funnel import Funnel
from pipeline.report.page.charts_of_counts import (
    course_chart,
    funnel_chart,
    level_shares_chart,
    tokens_chart,
)
from pipeline.report.page.words import count, figure, plural, share, span, table


def glance(report: RunReport) -> Iterator[str]:
    """What a reader takes away."""
    head, funnel, course = report.header, report.funnel, report.course
    models = ", ".join(head.models)
    snapshot = f", snapshot {head.snapshot}" if head.snapshot else ""
    yield (
        f'<p class="soft">{escape(models)} · recipe {escape(head.recipe)} · '
        f"{plural(head.trees, 'tree')} · {escape(head.state)}{snapshot}<br>"
        f"<code>{escape(head.location)}</code></p>"
    )
    yield from (f'<p class="note">{prose(note)}</p>' for note in head.notes)
    speed = report.tokens / course.busy_s if course.busy_s else 0.0
    tiles = (
        ("rows that remain", count(funnel.remains), f"of {count(funnel.asked)} asked for"),
        ("kept share", share(funnel.kept, funnel.asked), "by the run's own verdicts"),
        ("tokens sampled", count(report.tokens), f"{figure(speed)} a second"),
        ("busy", span(course.busy_s), f"{plural(head.attempts, 'attempt')}"),
        ("language", _language(report), "the most frequent, of sampled turns"),
        ("prompt tokens", count(report.prompts.tokens), _cached(report)),
    )
    shown = "".join(
        f'<div class="tile"><strong>{name}</strong><b>{value}</b><small>{note}</small></div>'
        for name, value, note in tiles
    )
    yield f'<div class="tiles">{shown}</div>'


def _cached(report: RunReport) -> str:
    found = report.engines.cached_share
    return f"{share(report.prompts.reusable)} shared" if found is None else f"{share(found)} cached"


def _language(report: RunReport) -> str:
    """Of all levels' samples together."""
    found: Counter[str] = Counter()
    for level in report.levels:
        if level.languages is not None:
            shares = level.languages.shares.items()
            found.update({code: round(part * level.languages.texts) for code, part in shares})
    if not found:
        return "none"
    code, number = found.most_common(1)[0]
    return f"{escape(code)} {share(number, found.total())}"


def funnel_section(report: RunReport) -> Iterator[str]:
    """Where every candidate went."""
    charts = funnel_chart(report.funnel) + level_shares_chart(report.levels)
    if charts:
        yield f'<div class="plots">{charts}</div>'
    heads = ["level", "asked", "failed", "filtered", "repeated", "surplus", "kept", "left out"]
    rows = [_funnel_row(f"{level.level} {level.role}", level) for level in report.levels]
    yield table([*heads, "remain"], [*rows, _cells("all", report.funnel)])
    yield table(
        ["step", "candidates", "of those asked", "left"],
        (
            [
                escape(step.name if step.kind == step.name else f"{step.kind}: {step.name}"),
                f"{MINUS}{count(step.count)}" if step.falls else count(step.count),
                share(step.count, report.funnel.asked),
                count(step.after),
            ]
            for step in report.funnel.steps()
        ),
    )
    if report.asides:
        told = ", ".join(f"{escape(kind)} {count(n)}" for kind, n in report.asides.items())
        yield f'<p class="soft">Requests about candidates, beside these: {told}.</p>'


def _funnel_row(name: str, level: LevelReport) -> list[str]:
    return _cells(name, level.funnel)


def _cells(name: str, funnel: Funnel) -> list[str]:
    numbers = (
        funnel.asked,
        sum(funnel.failed.values()),
        sum(funnel.filtered.values()),
        sum(funnel.repeated.values()),
        funnel.surplus,
        funnel.kept,
        sum(funnel.left_out.values()),
        funnel.remains,
    )
    return [escape(name), *map(count, numbers)]


def course_section(report: RunReport) -> Iterator[str]:
    """Tokens and time."""
    course, prompts = report.course, report.prompts
    charts = course_chart(course) + tokens_chart(report.levels)
    if charts:
        yield f'<div class="plots">{charts}</div>'
    heads = [
        "level",
        "waves",
        "prompt tokens",
        "tokens",
        "about them",
        "in vain",
        "busy",
    ]
    by_level = {level.level: level for level in report.levels}
    yield table(
        [*heads, "tokens/s", "a wave", "slowest", "tail"],
        (
            [
                f"{time.level} {escape(by_level[time.level].role)}",
                count(time.waves),
                count(by_level[time.level].prompt_tokens),
                count(by_level[time.level].output_tokens),
                count(by_level[time.level].aside_tokens),
                count(by_level[time.level].unused_tokens),
                span(time.busy_s),
                figure(round(time.tokens_per_s, 1)),
                span(time.wave_s),
                span(time.slowest_s),
                span(time.tail_s) if time.waves > 1 else "",
            ]
            for time in course.levels
        ),
    )
    yield (
        '<p class="soft">A level is busy while a wave of it is in flight; levels overlap. Tail: '
        "from the end of the 90th wave in a hundred to the end of the last, in busy time. In vain: "
        "tokens of children that were asked for ahead, while engines would have idled, of turns "
        "that were not kept then.</p>"
    )
    yield (
        f"<p>{share(prompts.reusable)} of {count(prompts.tokens)} prompt tokens stood before "
        f"another candidate too, so a large enough prefix cache could serve them; "
        f"{count(prompts.least)} had to be computed. Waves in flight at once, on average: "
        f"{figure(round(course.in_flight, 2))}.</p>"
    )
    yield from _attempts(report)
    yield from _estimate(report)


def _attempts(report: RunReport) -> Iterator[str]:
    yield "<h3>Attempts</h3>"
    yield table(
        ["attempt", "began (UTC)", "waves", "tokens", "up", "busy", "share", "GPUs", "GPU hours"],
        (
            [
                escape(one.attempt),
                _moment(one.started_at),
                count(one.waves),
                count(one.tokens),
                span(one.finished_at - one.started_at),
                span(one.busy_s),
                share(one.busy_share),
                figure(one.gpus),
                figure(one.gpu_hours),
            ]
            for one in report.course.attempts
        ),
        texts=2,
    )
    yield from _engines(report.engines)
    cannot = "".join(f"<li>{prose(sentence)}</li>" for sentence in report.unknown)
    if cannot:
        yield f'<p class="soft">What cannot be known:</p><ul class="soft">{cannot}</ul>'


def _engines(engines: Engines) -> Iterator[str]:
    if not engines.times:
        return
    yield "<h3>Engines</h3>"
    yield table(
        [
            *("attempt", "loaded (UTC)", "engines", "loading", "up", "shortest", "with work"),
            *("prompt tokens", "from cache", "tokens"),
        ],
        (
            [
                escape(one.attempt),
                _moment(one.began_at),
                count(len(one.engines)),
                span(one.loading_s),
                span(one.up_s),
                span(one.least_up_s),
                share(one.at_work_s, one.up_s),
                count(one.prompt_tokens),
                share(one.cached_tokens, one.prompt_tokens),
                count(one.sampled_tokens),
            ]
            for one in engines.times
        ),
        texts=2,
    )
    yield (
        '<p class="soft">As drivers saw their engines, once a second. Up: of all engines '
        "together, from when they had loaded until they were let go; shortest: of the one that "
        "was there for the shortest time. Tokens that end turns are counted here, and those of "
        "requests that were lost.</p>"
    )


def _moment(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S}"


def _estimate(report: RunReport) -> Iterator[str]:
    if not report.guesses:
        return
    became = "came to" if report.header.complete else "on course for"
    yield f"<h3>Estimate against actual: a pilot of {report.pilot_candidates:,} candidates</h3>"
    yield table(
        ["", "foretold", "nine times out of ten", became, "off by", "in the range"],
        (_guess(guess) for guess in report.guesses),
    )


def _guess(guess: Guess) -> list[str]:
    shown = "" if guess.actual is None else figure(guess.actual)
    off = "" if guess.off is None else f"{guess.off:+.1%}"
    within = {None: "", True: "yes", False: "no"}[guess.within]
    span_told = f"{figure(guess.low)} to {figure(guess.high)}"
    return [escape(guess.name), figure(guess.value), span_told, shown, off, within]
