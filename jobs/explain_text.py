"""The story of a node as a person reads it in a terminal."""

import textwrap
from collections import Counter
from collections.abc import Iterator, Sequence

from jobs.explain_words import SHORT_ID, Explained, failed, in_words, place, printable
from pipeline.report.lookup import Child
from pipeline.report.story import Story
from schemas.records import Candidate, Node, Verdict

WIDTH = 100
SIBLINGS_SHOWN = 40


def as_text(location: str, explained: Explained) -> str:
    """All of it, part by part."""
    story = explained.story
    parts = [
        _head(location, explained),
        _frame(explained),
        _path(explained),
        [f"Verdict: {in_words(explained)}", *_later(story)],
        _keeper(story),
        _beside(story),
        _scores(story),
        _siblings(story),
        _children(story),
    ]
    return "\n\n".join("\n".join(lines) for lines in parts if lines)


def _head(location: str, explained: Explained) -> list[str]:
    story = explained.story
    node, turn = story.node, story.turn
    what = node.role if node is turn else f"{node.kind} beside the turn"
    by = "" if explained.model is None else f", written by {printable(explained.model)}"
    return [
        f"node {node.node_id} of run {location}",
        f"  {place(turn)}, level {turn.level}, {what}, {node.origin}, wave {story.wave}",
        f"  {_sampling(story)}{by}",
    ]


def _frame(explained: Explained) -> list[str]:
    """What stands before the tree's own turns."""
    root = explained.story.root
    lines = [line for role, text in root.frame for line in _block(f"    {role:<10}", text)]
    if root.reference is not None:
        lines += _block("    reference ", root.reference)
    if explained.asked_otherwise:
        lines.append("    (While this level was asked for, something else stood there: its system,")
        lines.append("    shown or examples, as ids in the openings of roots/.)")
    return [
        f"Grows from {printable(root.source)}".rstrip(),
        *(lines or ["    (nothing but what the template begins with)"]),
    ]


def _sampling(story: Story) -> str:
    node = story.node
    parts = [f"{len(node.token_ids)} tokens"]
    if node.reasoning_tokens:
        parts.append(f"{node.reasoning_tokens} of them reasoning")
    if node.finish_reason:
        parts.append(f"finish: {node.finish_reason}")
    if story.mean_logprob is not None:
        parts.append(f"mean log-probability {story.mean_logprob:.3f}")
    return ", ".join(parts)


def _path(explained: Explained) -> list[str]:
    """The turns down to the node, each after what the run itself says before it."""
    story = explained.story
    lines: list[str] = []
    for turn in story.path[1:]:
        say = explained.say(turn.level) if turn.kind == "turn" else None
        lines += [] if say is None else _block(f"  {turn.level} {'(asked)':<10}", say)
        mark = ">" if turn is story.node else " "
        head = f"{turn.level} {turn.role:<10}" if turn.kind == "turn" else f"  {turn.kind:<10}"
        lines += _block(f"{mark} {head}", turn.text)
    return ["Path", *lines] if lines else []


def _block(head: str, text: str) -> Iterator[str]:
    """A text beside its head, as wide as a terminal."""
    indent = " " * len(head)
    lines = [
        line
        for given in printable(text).split("\n")
        for line in textwrap.wrap(given, max(20, WIDTH - len(head))) or [""]
    ]
    for number, line in enumerate(lines if text else ["(empty)"]):
        yield f"{indent if number else head}{line}".rstrip()


def _later(story: Story) -> list[str]:
    later = story.later
    if later is None:
        return []
    keeper = f" of {later.keeper_id}" if later.keeper_id else ""
    run = f" of run {later.keeper_run}" if later.keeper_run else ""
    alike = "" if later.similarity is None else f", similarity {later.similarity:.3f}"
    return [f"Left out of snapshot {later.snapshot}: {later.reason}{keeper}{run}{alike}"]


def _keeper(story: Story) -> list[str]:
    if story.keeper is None:
        return []
    return [
        "Beside its keeper",
        *_block("  keeper ", story.keeper.text),
        *_block("  this   ", story.node.text),
    ]


_CALLED = {
    "draft": "draft",
    "critique": "critique",
    "rewrite": "rewritten",
    "judge": "judgement",
}


def _beside(story: Story) -> list[str]:
    """Its draft, and what was said about it; a node beside the tree stands in its path."""
    lines: list[str] = []
    for said, verdict in story.beside:
        if said is not story.node:
            text = said.text if verdict.kept else failed(str(verdict.drop_reason))
            lines += _block(f"  {_CALLED[said.kind]:<10} {said.node_id[:SHORT_ID]} ", text)
    return ["Beside the turn", *lines] if lines else []


def _scores(story: Story) -> list[str]:
    lines = [f"  {name:<22}{value:.4g}" for name, value in story.scores.items()]
    return ["Scores", *lines] if lines else []


def _siblings(story: Story) -> list[str]:
    if not story.siblings:
        return []
    rows = [Child(verdict.drop_reason, node.origin == "given") for node, verdict in story.siblings]
    lines = [_sibling(sibling, story.node) for sibling in story.siblings]
    hidden = len(lines) - SIBLINGS_SHOWN
    more = [f"  and {hidden} more (all with --json)"] if hidden > 0 else []
    return [f"Siblings: {_tally(rows)}", *lines[:SIBLINGS_SHOWN], *more]


def _tally(rows: Sequence[Child]) -> str:
    """How many were asked for, and what became of them."""
    asked = [row.drop_reason for row in rows if not row.given]
    dropped = Counter(reason for reason in asked if reason)
    parts = [f"{len(asked)} asked for", f"{asked.count(None)} kept"]
    if dropped:
        listed = ", ".join(f"{count} {reason}" for reason, count in sorted(dropped.items()))
        parts.append(f"dropped {listed}")
    given = len(rows) - len(asked)
    return ", ".join([*parts, f"{given} given"] if given else parts)


def _sibling(sibling: Node, node: Candidate) -> str:
    mark = ">" if sibling.candidate.node_id == node.node_id else " "
    head = f"{mark} {sibling.candidate.child_index:>4} {sibling.candidate.node_id[:SHORT_ID]}"
    line = f"{head} {_short(sibling.verdict):<34} {printable(sibling.candidate.text)}"
    return " ".join(line.split("\n"))[:WIDTH].rstrip()


def _short(verdict: Verdict) -> str:
    if verdict.kept:
        return "kept" if verdict.mmr_rank is None else f"kept, place {verdict.mmr_rank + 1}"
    if verdict.keeper_id is None or verdict.similarity is None:
        return str(verdict.drop_reason)
    return f"{verdict.drop_reason} of {verdict.keeper_id[:SHORT_ID]} {verdict.similarity:.2f}"


def _children(story: Story) -> list[str]:
    if story.node.kind != "turn":
        return []
    if not story.verdict.kept:
        return ["Children: none were asked for, it was dropped"]
    if not story.children:
        return ["Children: none yet, or none wanted"]
    return [f"Children: {_tally(story.children)}"]
