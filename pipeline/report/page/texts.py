"""Sections of texts: topics, repeats, dropped turns, conversations, and where all came from."""

from collections.abc import Iterator
from html import escape

from pipeline.page.elements import pairs
from pipeline.report.content import Example, RunReport
from pipeline.report.dialogues import Dialogue
from pipeline.report.page.charts_of_likeness import (
    similarity_chart,
    sizes_chart,
    topic_sizes_chart,
    topics_chart,
)
from pipeline.report.page.words import count, cut, plural, share
from pipeline.report.repeats import Group, RepeatGroups
from pipeline.report.topics import Topic

_SHORT = 220
_OPEN_REASONS = 1


def topics_section(report: RunReport) -> Iterator[str]:
    """What conversations begin with."""
    topics = report.topics
    if topics is None:
        yield '<p class="soft">Too few openings to tell topics apart.</p>'
        return
    charts = topics_chart(topics) + topic_sizes_chart(topics)
    if charts:
        yield f'<div class="plots">{charts}</div>'
    yield (
        f'<p class="soft">{len(topics.clusters)} clusters by k-means, of '
        f"{escape(report.vectors_by)}; evenness {topics.even:.2f} (1: all equally large).</p>"
    )
    shown = "".join(_topic(n, topic) for n, topic in enumerate(topics.clusters, start=1))
    yield f'<div class="topics">{shown}</div>'


def _topic(number: int, topic: Topic) -> str:
    items = "".join(f"<li>{cut(text, _SHORT)}</li>" for text in topic.examples)
    words = escape(", ".join(topic.words)) or "no word of its own"
    return (
        f'<div class="topic"><span class="dot">{number}</span><b>{words}</b>'
        f'<span class="soft">{share(topic.share)}, {count(topic.count)}; cosine to the middle '
        f"{topic.similarity:.2f}</span><ul>{items}</ul></div>"
    )


def repeats_section(report: RunReport) -> Iterator[str]:
    """What fell because something says it already."""
    yield from _groups(report.repeats, "no turn fell for another while the trees grew")
    if report.refined is not None:
        yield "<h3>Found by refinements, over the whole run</h3>"
        yield from _groups(report.refined, "no refinement found a repeat")


def _groups(groups: RepeatGroups, otherwise: str) -> Iterator[str]:
    charts = sizes_chart(groups) + similarity_chart(groups)
    if charts:
        yield f'<div class="plots">{charts}</div>'
    if not groups.dropped:
        yield f'<p class="soft">No repeats: {otherwise}.</p>'
        return
    yield (
        f"<p>{plural(groups.dropped, 'turn')} fell for {plural(groups.keepers, 'kept one')}, the "
        f"largest group has {max(groups.sizes):,}.</p>"
    )
    yield "".join(map(_group, groups.largest))


def _group(group: Group) -> str:
    items = "".join(
        f"<li>{_alike(alike)} {cut(text, _SHORT)}</li>" for alike, text in group.said_again
    )
    more = group.size - len(group.said_again)
    rest = f"<li>and {more:,} more</li>" if more > 0 else ""
    said = f'<span class="dot">{group.size:,}</span>{cut(group.text, _SHORT)}'
    return f'<div class="again"><p>{said}</p><ul>{items}{rest}</ul></div>'


def _alike(value: float | None) -> str:
    return "" if value is None else f'<span class="dot">{value:.2f}</span>'


def reasons_section(report: RunReport) -> Iterator[str]:
    """Some dropped turns of each reason, to read."""
    if not report.reasons:
        yield '<p class="soft">Nothing was dropped.</p>'
    counts = {step.reason: step.count for step in report.funnel.steps() if step.falls}
    by_count = sorted(report.reasons, key=lambda reason: -counts.get(reason, 0))
    for place, reason in enumerate(by_count):
        examples = report.reasons[reason]
        number = counts.get(reason, len(examples))
        shown = "".join(map(_example, examples))
        state = " open" if place < _OPEN_REASONS else ""
        yield (
            f"<details{state}><summary>{escape(reason)}: {count(number)}</summary>{shown}</details>"
        )


def _example(example: Example) -> str:
    beside = "" if example.keeper_id is None else f", beside {escape(example.keeper_id)}"
    alike = "" if example.similarity is None else f", likeness {example.similarity:.2f}"
    text = cut(example.text) or "<em>no text</em>"
    return (
        f'<div class="drop"><small>level {example.level} {escape(example.role)}, '
        f"{escape(example.node_id)}{beside}{alike}</small>{text}</div>"
    )


def dialogues_section(report: RunReport) -> Iterator[str]:
    """Whole conversations, as they are."""
    drawn = report.dialogues
    if not drawn.drawn:
        yield '<p class="soft">No conversation has an answer yet.</p>'
        return
    yield (
        f'<p class="soft">{len(drawn.drawn)} of {plural(drawn.of, "conversation")} in '
        f"{plural(drawn.cohorts, 'cohort')}, drawn at random (seed {drawn.seed}), not chosen.</p>"
    )
    yield f'<div class="chats">{"".join(map(_dialogue, drawn.drawn))}</div>'


def _dialogue(dialogue: Dialogue) -> str:
    said = "".join(
        f'<div class="said {escape(one.role)}" data-role="{escape(one.role)}">{escape(one.text)}'
        "</div>"
        for one in dialogue.said
    )
    source = f" · {escape(dialogue.source)}" if dialogue.source else ""
    return (
        f'<div class="chat">{said}<small>tree {dialogue.tree_id:,}{source} · '
        f"{plural(dialogue.tokens, 'token')} · leaf {escape(dialogue.leaf_id)}</small></div>"
    )


def facts_section(report: RunReport) -> Iterator[str]:
    """Versions, licences, the spec, and how to make it again."""
    head = report.header
    more: list[tuple[str, str]] = [("guarantee", head.guarantee)]
    if head.biases is not None:
        more.append(("biases", ", ".join(head.biases) or "none: an unbiased sample"))
    yield pairs([*more, *report.facts.items()])
    yield "<h3>Make it again</h3>"
    yield _pre("\n".join(report.commands))
    yield f"<details><summary>The spec</summary>{_pre(report.spec)}</details>"


def _pre(text: str) -> str:
    return f"<pre>{escape(text)}</pre>"
