"""The tables of the page: all measures, the mixture, and where everything came from."""

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from itertools import groupby
from typing import Any

from pipeline.page.elements import pairs, row
from pipeline.retention.page_words import LABELS, by_item, number, range_text, signed, tone
from schemas.retention import Change, Kind, Retention

_KINDS: dict[Kind, str] = {
    "choices": "Knowledge, multiple choice",
    "texts": "Texts",
    "samples": "The original's own samples",
    "task": "The task",
    "harness": "lm-evaluation-harness",
}


def changes_table(changes: Sequence[Change]) -> str:
    """Every measure."""
    head = row(
        "th", ["measure", "items", "before", "after", "difference", "95% interval", "lost / won"]
    )
    body = "".join(
        f'<tr class="group"><td colspan="7">{_KINDS[kind]}</td></tr>' + "".join(map(_change, group))
        for kind, group in groupby(changes, key=lambda change: change.kind)
    )
    return f'<div class="scroll"><table><thead>{head}</thead><tbody>{body}</tbody></table></div>'


def _change(change: Change) -> str:
    flips = change.flips
    cells = [
        f'<td class="name">{escape(change.name)} · {LABELS[change.measure]}</td>',
        f"<td>{_items(change)}</td>",
        f"<td>{_with_error(change.before.value, change.before.se)}</td>",
        f"<td>{_with_error(change.after.value, change.after.se)}</td>",
        f'<td class="{tone(change)}">{signed(change.difference.value)}</td>',
        f"<td>{range_text(change)}</td>",
        f"<td>{f'{flips.lost} / {flips.won} (p {flips.p:.2g})' if flips else ''}</td>",
    ]
    return f"<tr>{''.join(cells)}</tr>"


def _items(change: Change) -> str:
    """How many were asked; nothing where that is not what the numbers come from."""
    return f"{change.difference.n:,}" if by_item(change) else ""


def _with_error(value: float, se: float | None) -> str:
    return number(value) if se is None else f'{number(value)} <span class="soft">±{se:.3f}</span>'


def mixture_table(parts: Mapping[str, Mapping[str, Any]]) -> str:
    """By part, what was used of what there was."""
    heads = ["part", "rows used", "of", "tokens used", "learned", "passes"]
    heads += ["cut", "left out", "source"]
    rows = "".join(_part(name, part) for name, part in parts.items())
    return (
        f'<div class="scroll"><table><thead>{row("th", heads)}</thead>'
        f"<tbody>{rows}</tbody></table></div>{_remarks(parts)}"
    )


def _remarks(parts: Mapping[str, Mapping[str, Any]]) -> str:
    """What there is to know of sources, and of the rows that could not be used."""
    told = [f"{name}: {remark}" for name, part in parts.items() for remark in _told(part)]
    items = "".join(f"<li>{escape(remark)}</li>" for remark in told)
    return f'<ul class="soft">{items}</ul>' if told else ""


def _told(part: Mapping[str, Any]) -> Iterator[str]:
    counts, source = part.get("counts", {}), part.get("source", {})
    yield from source.get("notes", ())
    for bad in counts.get("bad_examples", ()):
        yield f"not trained on: {bad['where']}: {bad['why']}"


def _part(name: str, part: Mapping[str, Any]) -> str:
    counts, source = part.get("counts", {}), part.get("source", {})
    lost = sum(int(counts.get(key) or 0) for key in ("bad", "left_out", "unlearned"))
    keys = ("used_rows", "rows", "used_tokens", "used_learned", "passes")
    numbers = [_count(counts.get(key)) for key in (*keys, "cut")] + [_count(lost)]
    cells = "".join(f"<td>{cell}</td>" for cell in numbers)
    return (
        f'<tr><td class="name">{escape(name)}</td>{cells}'
        f'<td class="name wide">{escape(_source(source))}</td></tr>'
    )


def _count(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.3g}"
    return f"{value:,}" if isinstance(value, int) else ""


def _source(source: Mapping[str, Any]) -> str:
    """Where rows came from, in a line."""
    if "run_id" in source:
        part = "" if source.get("complete", True) else ", partial"
        return f"{source.get('location')}, snapshot {source.get('snapshot')}{part}"
    told = (_flat(source.get(key)) for key in ("files", "location"))
    return next((text for text in told if text), _flat(dict(source)))


def _flat(value: Any) -> str:
    match value:
        case None:
            return ""
        case str():
            return value
        case Mapping():
            return ", ".join(f"{key}: {_flat(inner)}" for key, inner in value.items())
        case Sequence():
            return ", ".join(map(_flat, value))
    return str(value)


def provenance_list(retention: Retention, further: Mapping[str, str]) -> str:
    """Which models were measured, and on what."""
    return pairs((*_models(retention), *further.items()))


def _models(retention: Retention) -> Iterator[tuple[str, str]]:
    before, after = retention.before, retention.after
    yield "before", f"{before.model} (weights {before.weights[:16]})"
    yield "after", f"{after.model} (weights {after.weights[:16]})"
    if after.reference:
        yield "original", f"{after.reference} (weights {after.reference_weights[:16]})"
    if after.device:
        yield "measured on", f"{after.device}, {after.dtype}"
    seconds = [round(sum(m.seconds.values())) for m in (before, after)]
    yield "seconds", f"{seconds[0]:,} before, {seconds[1]:,} after"
