"""Numbers and changes in words."""

from collections.abc import Callable, Iterator, Sequence
from html import escape

from pipeline.page.elements import MINUS
from schemas.retention import Change, Retention

LABELS = {
    "accuracy": "accuracy",
    "margin": "margin, nats a byte",
    "nll": "surprise, nats a token",
    "kl": "KL, nats a token",
    "cka": "CKA, mean of layers",
    "value": "harness",
}
SHORT = {
    **{name: name for name in ("accuracy", "margin")},
    "nll": "surprise",
    "kl": "KL",
    "cka": "CKA",
    "value": "",
}
_TINY = 5e-4


def number(value: float) -> str:
    """Three places, or as many as show that it is not zero."""
    text = f"{value:.3f}" if not value or abs(value) >= _TINY else f"{value:.1e}"
    return text.replace("-", MINUS, 1) if value < 0 else text


def signed(value: float) -> str:
    """A difference, with a real minus."""
    text = number(abs(value))
    return f"+{text}" if value > 0 else f"{MINUS}{text}" if value < 0 else text


def range_text(change: Change) -> str:
    """Where the truth of a difference lies."""
    found = change.difference
    if found.low is not None and found.high is not None:
        return f"{signed(found.low)} to {signed(found.high)}"
    return "no item changed" if by_item(change) and not found.value else ""


def by_item(change: Change) -> bool:
    """Whether its items were compared one by one."""
    return change.difference.n > 1 and change.measure != "cka"


def delta_text(change: Change) -> str:
    """The difference, and how sure it is."""
    shown = signed(change.difference.value)
    between = range_text(change)
    return f"{shown} ({between})" if between else shown


def tone(change: Change) -> str:
    """The class of what shows it."""
    return "" if change.verdict == "unsure" else change.verdict


def lead(retention: Retention) -> str:
    """What a reader takes away."""
    lines = "".join(f"<li>{line}</li>" for line in _lines(retention))
    if not lines:
        return '<p class="lead">Nothing was measured: the spec names no items.</p>'
    return f'<div class="lead"><ul>{lines}</ul></div>'


def _lines(retention: Retention) -> Iterator[str]:
    task = [c for c in retention.changes if c.kind == "task"]
    if task:
        yield f"Learned: {_by_name(task, _moved)}."
    right = [
        (one.right, retention.after.choices[name].right)
        for name, one in retention.before.choices.items()
    ]
    if right:
        yield _still_right(right)
    yield from _others(retention)
    away = [c for c in retention.changes if c.measure == "kl" and c.after.value > 0]
    if away:
        told = ", ".join(f"{number(c.after.value)} ({escape(c.name)})" for c in away)
        yield f"Nats a token away from the original, on the original's own samples: {told}."


def _others(retention: Retention) -> Iterator[str]:
    """Sets of items by what became of them."""
    told = [c for c in retention.changes if c.kind in ("choices", "texts", "harness")]
    sayings = {
        "worse": "Worse, beyond what chance explains",
        "better": "Better, beyond what chance explains",
        "unsure": "No change that these items could show",
    }
    for verdict, saying in sayings.items():
        found = [c for c in told if c.verdict == verdict and by_item(c)]
        if found:
            yield f"{saying}: {_by_name(found, _measure)}."


def _still_right(pairs: Sequence[tuple[Sequence[bool], Sequence[bool]]]) -> str:
    before = sum(sum(one) for one, _ in pairs)
    still = sum(sum(map(min, one, other)) for one, other in pairs)
    won = sum(sum(other) for _, other in pairs) - still
    share = f" ({still / before:.0%})" if before else ""
    return (
        f"Of {before:,} questions that it answered right before, {still:,}{share} are still right; "
        f"{won:,} others became so."
    )


def _by_name(changes: Sequence[Change], tell: Callable[[Change], str]) -> str:
    names = dict.fromkeys(change.name for change in changes)
    return "; ".join(
        f"<b>{escape(name)}</b> {', '.join(tell(c) for c in changes if c.name == name)}"
        for name in names
    )


def _moved(change: Change) -> str:
    return f"{SHORT[change.measure]} {number(change.before.value)} → {number(change.after.value)}"


def _measure(change: Change) -> str:
    return SHORT[change.measure]
