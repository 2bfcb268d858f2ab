"""The story of a node as a person reads it in a terminal."""

import textwrap
from collections import Counter
from collections.abc import Iterator
from functools import cached_property

from pipeline.curate.evidence import Comparison, evidence
from pipeline.report.story import Story
from schemas.curation_spec import CurationSpec
from schemas.records import Candidate, Node, Verdict

WIDTH = 100
SHORT_ID = 8
SIBLINGS_SHOWN = 40


class Explained:
    """A story, and what the run was asked for that bears on it."""

    def __init__(self, story: Story, spec: CurationSpec, fanout: int) -> None:
        self.story, self.spec, self.fanout = story, spec, fanout

    @cached_property
    def evidence(self) -> list[Comparison]:
        """What the filter that dropped it compared; nothing where no filter did."""
        story = self.story
        entries = [
            entry
            for entry in self.spec.filters
            if entry.filter == story.verdict.drop_reason and story.node.role in entry.roles
        ]
        return next(filter(None, (evidence(entry, story.scores) for entry in entries)), [])


def as_text(location: str, explained: Explained) -> str:
    """All of it, part by part."""
    story = explained.story
    parts = [
        _head(location, story),
        ["Path", *_path(story.path)],
        [f"Verdict: {in_words(explained)}", *_later(story)],
        _keeper(story),
        _judgements(story),
        _scores(story),
        _siblings(story),
        [_children(story)],
    ]
    return "\n\n".join("\n".join(lines) for lines in parts if lines)


def _head(location: str, story: Story) -> list[str]:
    node = story.node
    return [
        f"node {node.node_id} of run {location}",
        f"  {_place(node)}, level {node.level}, {node.role}, {node.origin}, wave {story.wave}",
        f"  {_sampling(story)}",
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


def _place(node: Candidate) -> str:
    return f"tree {node.tree_id}, path {'.'.join(map(str, node.path)) or '(root)'}"


def _path(path: tuple[Candidate, ...]) -> Iterator[str]:
    for turn in path:
        mark = ">" if turn is path[-1] else " "
        yield from _block(f"{mark} {turn.level} {turn.role:<10}", turn.text)


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


def printable(text: str) -> str:
    """Control characters spelled out, so that a text can do nothing to the terminal."""
    return "".join(c if c.isprintable() or c == "\n" else _spelled(c) for c in text)


def _spelled(character: str) -> str:
    return " " if character == "\t" else character.encode("unicode_escape").decode("ascii")


def in_words(explained: Explained) -> str:
    """The verdict as a sentence."""
    story, verdict = explained.story, explained.story.verdict
    reason = verdict.drop_reason
    if reason is None:
        return _kept(story, verdict)
    if reason.startswith("failed:"):
        return f"dropped, the request gave no text ({reason.removeprefix('failed:')})"
    if reason == "surplus":
        return _surplus(explained)
    if reason in _LIKE:
        return f"dropped as {reason}: {_repeat(explained, reason)}"
    return f"dropped by the filter {reason}: {_comparisons(explained)}"


def _kept(story: Story, verdict: Verdict) -> str:
    if story.node.level == 0:
        return "kept, it is what the tree grows from"
    if verdict.mmr_rank is None:
        return "kept"
    return f"kept, chosen in place {verdict.mmr_rank + 1} among its siblings (mmr_rank)"


_LIKE = {
    "duplicate": "the same text as",
    "near_duplicate": "nearly the same text as",
    "similar": "too close in meaning to",
}


def _repeat(explained: Explained, reason: str) -> str:
    """By what it is like its keeper, and which threshold that passes."""
    verdict, spec = explained.story.verdict, explained.spec
    like = f"{_LIKE[reason]} {_whose(explained.story)}"
    if reason == "near_duplicate":
        return f"{like}; Jaccard {verdict.similarity:.3f} >= {spec.near_threshold:g}"
    if reason == "similar" and spec.diversity is not None:
        return f"{like}; cosine {verdict.similarity:.3f} >= {spec.diversity.max_cosine:g}"
    return like


def _whose(story: Story) -> str:
    keeper = story.keeper
    if keeper is None:
        return f"node {story.verdict.keeper_id}"
    kin = "its sibling" if keeper.parent_id == story.node.parent_id else "the opening"
    return f"{kin} {keeper.node_id[:SHORT_ID]} ({_place(keeper)})"


def _surplus(explained: Explained) -> str:
    story = explained.story
    said = f"dropped as surplus: {explained.fanout} of its siblings were chosen before it"
    if story.keeper is None:
        return said
    return f"{said}; it is closest to {_whose(story)}, cosine {story.verdict.similarity:.3f}"


def _comparisons(explained: Explained) -> str:
    if not explained.evidence:
        no_score = explained.story.verdict.drop_reason == "judge"
        return "no score could be read" if no_score else "its scores do not tell why"
    return ", ".join(
        f"{c.score} {c.value:.4g} {c.relation} {c.threshold:g}" for c in explained.evidence
    )


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


def _judgements(story: Story) -> list[str]:
    lines = [line for aside in story.judgements for line in _block("  ", aside.text)]
    return ["Judged", *lines] if lines else []


def _scores(story: Story) -> list[str]:
    lines = [f"  {name:<22}{value:.4g}" for name, value in story.scores.items()]
    return ["Scores", *lines] if lines else []


def _siblings(story: Story) -> list[str]:
    if not story.siblings:
        return []
    kept = sum(sibling.verdict.kept for sibling in story.siblings)
    lines = [_sibling(sibling, story.node) for sibling in story.siblings]
    hidden = len(lines) - SIBLINGS_SHOWN
    more = [f"  and {hidden} more (all with --json)"] if hidden > 0 else []
    return [f"Siblings: {len(lines)} asked for, {kept} kept", *lines[:SIBLINGS_SHOWN], *more]


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


def _children(story: Story) -> str:
    if not story.verdict.kept:
        return "Children: none were asked for, it was dropped"
    if not story.children:
        return "Children: none yet, or none wanted"
    drops = Counter(reason for reason in story.children if reason)
    dropped = ", ".join(f"{count} {reason}" for reason, count in sorted(drops.items()))
    kept = story.children.count(None)
    return f"Children: {len(story.children)} asked for, {kept} kept" + (
        f", dropped {dropped}" if dropped else ""
    )
