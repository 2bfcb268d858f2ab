"""What became of a node, as a sentence."""

from functools import cached_property

from pipeline.curate.evidence import Comparison, evidence
from pipeline.report.story import Story
from pipeline.tree.run import Run
from schemas.records import Candidate, Verdict

SHORT_ID = 8


class Explained:
    """A story, and what the run was asked for that bears on it."""

    def __init__(self, story: Story, run: Run) -> None:
        self.story, self.run, self.spec = story, run, run.spec.curation

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

    @property
    def fanout(self) -> int:
        """How many children of its parent are kept, at most."""
        return self.run.rule(self.story.turn.level).fanout

    @property
    def model(self) -> str | None:
        """The model that wrote it, by its name and the engine group where there are several; None
        where it was given."""
        node, spec = self.story.node, self.run.spec
        if node.origin == "given":
            return None
        if not node.model_index:
            return spec.model.name
        group = sorted(spec.models)[node.model_index - 1]
        return f"{spec.models[group].name} (engine group {group})"

    @property
    def asked_otherwise(self) -> bool:
        """Whether the model saw something else than readers do in front of the turns."""
        turn = self.story.turn
        own = (turn.level, self.run.tongues[turn.model_index])
        return turn.level > 0 and own in self.story.root.openings

    def say(self, level: int) -> str | None:
        """What the run itself says before a turn of a level."""
        return self.run.rule(level).say if level else None


def in_words(explained: Explained) -> str:
    """The verdict as a sentence."""
    story, verdict = explained.story, explained.story.verdict
    reason = verdict.drop_reason
    if story.node.kind != "turn":
        return _of_aside(story)
    if reason is None:
        return _kept(story, verdict)
    if reason.startswith("failed:"):
        return failed(reason)
    if reason == "surplus":
        return _surplus(explained)
    if reason in _LIKE:
        return f"dropped as {reason}: {_repeat(explained, reason)}"
    return f"dropped by the filter {reason}: {_comparisons(explained)}"


def failed(reason: str) -> str:
    """A request without a text."""
    return f"dropped, the request gave no text ({reason.removeprefix('failed:')})"


def _of_aside(story: Story) -> str:
    """What became of a row beside the tree."""
    reason, turn = story.verdict.drop_reason, story.turn
    of = f"node {turn.node_id}"
    if story.node.kind == "draft":
        return f"written again after a critique; {of} stands in its place"
    if story.node.kind == "rewrite":
        why = "nothing to be seen came back" if reason is None else failed(reason)
        return f"{why}; the draft stays, {of}"
    if reason is not None:
        return f"{failed(reason)}; it was about {of}"
    drafts = [aside.candidate.node_id for aside in story.beside if aside.candidate.kind == "draft"]
    if story.node.kind == "critique" and drafts:
        return f"kept; it is about the draft {drafts[0]}, in whose place {of} stands"
    return f"kept; it is about {of}"


def _kept(story: Story, verdict: Verdict) -> str:
    if story.node.level == 0:
        return "kept, it is what the tree grows from"
    if story.stands_in:
        return _stands_in(story)
    again = ", written again after a critique of its draft"
    rewritten = again if story.node.origin == "rewritten" else ""
    if verdict.mmr_rank is None:
        return f"kept{rewritten}"
    return f"kept, chosen in place {verdict.mmr_rank + 1} among its siblings (mmr_rank){rewritten}"


def _stands_in(story: Story) -> str:
    asked = len(story.siblings) - 1
    reasons = ", ".join(f"{count} {reason}" for reason, count in story.fallen.items())
    source = f" of row {printable(story.root.source)}" if story.root.source else ""
    fell = "its one candidate" if asked == 1 else f"all of its {asked} candidates"
    return f"kept; the reference{source} stands here, because {fell} fell: {reasons}"


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
    return f"{kin} {keeper.node_id[:SHORT_ID]} ({place(keeper)})"


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


def place(node: Candidate) -> str:
    """Where a node stands, for people."""
    return f"tree {node.tree_id}, path {'.'.join(map(str, node.path)) or '(root)'}"


def printable(text: str) -> str:
    """Control characters spelled out, so that a text can do nothing to the terminal."""
    return "".join(c if c.isprintable() or c == "\n" else _spelled(c) for c in text)


def _spelled(character: str) -> str:
    return " " if character == "\t" else character.encode("unicode_escape").decode("ascii")
