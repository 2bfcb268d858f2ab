"""Questions that were answered right before and are not any more, with what is believed instead."""

from collections.abc import Iterator, Sequence
from html import escape

from pipeline.retention.page_words import number
from schemas.retention import MeasuredChoices, MeasuredTask, Retention

_SHOWN = 25
_LONGEST = 600


def flips(retention: Retention) -> Iterator[str]:
    """A section, if anything was lost."""
    sets = [*_choices(retention), *_answers(retention)]
    if sets:
        yield (
            "<h2>What it knew and does not any more</h2>\n"
            '<p class="soft">Beside each choice its log-probability, in nats a byte.</p>\n'
            + "\n".join(sets)
        )


def _choices(retention: Retention) -> Iterator[str]:
    for name, one in retention.before.choices.items():
        other = retention.after.choices[name]
        falls = [after - before for before, after in zip(one.margins, other.margins, strict=True)]
        lost = sorted(_lost(one.right, other.right), key=lambda i: falls[i])
        if lost:
            yield _set(name, len(lost), "".join(_question(one, other, i) for i in lost[:_SHOWN]))


def _lost(before: Sequence[bool], after: Sequence[bool]) -> list[int]:
    pairs = zip(before, after, strict=True)
    return [i for i, (was, is_now) in enumerate(pairs) if was and not is_now]


def _set(name: str, count: int, body: str) -> str:
    more = f", of which {_SHOWN} are shown" if count > _SHOWN else ""
    return (
        f"<details><summary>{escape(name)}: {count:,} lost{more}</summary>"
        f'<div class="flips">{body}</div></details>'
    )


def _question(one: MeasuredChoices, other: MeasuredChoices, i: int) -> str:
    said = max(range(len(other.scores[i])), key=lambda c: other.scores[i][c])
    rows = "".join(
        f'<tr class="{"right" if c == one.answers[i] else ""}"><td class="name">{_cut(choice)}'
        f"{' ✓' if c == one.answers[i] else ' ← now' if c == said else ''}</td>"
        f"<td>{number(one.scores[i][c])}</td><td>{number(other.scores[i][c])}</td></tr>"
        for c, choice in enumerate(one.choices[i])
    )
    return (
        f'<div class="flip">{_cut(one.questions[i])}<table><thead><tr><th class="name">choice</th>'
        f"<th>before</th><th>after</th></tr></thead><tbody>{rows}</tbody></table></div>"
    )


def _answers(retention: Retention) -> Iterator[str]:
    for name, one in retention.before.task.items():
        other = retention.after.task[name]
        lost = _lost(one.right or (), other.right or ())
        if lost:
            shown = "".join(_answer(one, other, i) for i in lost[:_SHOWN])
            yield _set(f"{name}, written answers", len(lost), shown)


def _answer(one: MeasuredTask, other: MeasuredTask, i: int) -> str:
    return (
        f'<div class="flip"><p><span class="soft">before</span> {_cut(one.written[i])}</p>'
        f'<p><span class="soft">after</span> {_cut(other.written[i])}</p></div>'
    )


def _cut(text: str) -> str:
    return escape(text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…")
