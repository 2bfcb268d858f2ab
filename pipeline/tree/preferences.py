"""Preferences: siblings as answers to one prompt, with what says which of them is better.

All children of a parent were asked for from the same prompt, so they are n-way answers as they
stand. Those that were dropped for the room they would take, or by the judge, are answers of lower
standing; those that fell for what is wrong with their text are none. A turn that was written again
is better than its draft, unless the judge dropped it.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import isnan
from typing import NamedTuple

from schemas.records import Candidate, Node

JUDGED = "judge"
SOUND = frozenset({JUDGED, "surplus"})
"""Reasons for which a turn is dropped whose text is in order."""
REWRITE = "rewrite"


class Answer(NamedTuple):
    """One of several."""

    candidate: Candidate
    drop_reason: str | None
    kept: bool
    score: float | None


@dataclass(frozen=True, slots=True, eq=False)
class Preference:
    """Answers to one prompt."""

    path: tuple[Candidate, ...]
    """From the root down to the parent of all answers."""
    answers: tuple[Answer, ...]
    """In row order."""
    chosen: Answer | None
    """The best of them, where there is a worse one."""
    rejected: Answer | None
    """The worst."""
    by: str | None
    """What says so: the score that was asked for, or `rewrite`."""

    @property
    def level(self) -> int:
        """That of the answers."""
        return len(self.path)

    @property
    def margin(self) -> float | None:
        """By how much the best is better; 0 where it is only known that it is."""
        if self.chosen is None or self.rejected is None:
            return None
        if self.by == REWRITE or self.chosen.score is None or self.rejected.score is None:
            return 0.0
        return self.chosen.score - self.rejected.score


class Scores(NamedTuple):
    """One number about answers."""

    name: str
    by_node: Mapping[str, float]
    """By node id; one that is missing, or NaN, is not known."""

    def of(self, node_id: str) -> float | None:
        """The score of an answer, if it is known."""
        score = self.by_node.get(node_id)
        return None if score is None or isnan(score) else score


def preferences(
    rows: Iterable[Node], drafts: Iterable[Candidate], scores: Scores, *, only_kept: bool = False
) -> Iterator[Preference]:
    """The answers to each prompt, in row order, then each written again beside its draft.

    `rows` are those of some whole trees, kept and dropped; below a row that is missing or dropped
    nothing is an answer. Prompts with a single answer are left out.
    """
    kept = {row.candidate.node_id: row.candidate for row in rows if row.verdict.kept}
    draft_of = {draft.parent_id: draft for draft in drafts}
    for path, siblings in _families(rows, kept):
        answers = [_answer(row, scores) for row in _sound(siblings, only_kept=only_kept)]
        if len(answers) > 1:
            yield _of_siblings(path, answers, scores)
        for answer in answers:
            draft = draft_of.get(answer.candidate.node_id)
            if draft is not None and _is_better(answer, draft):
                yield _of_rewrite(path, answer, draft, scores)


def _families(
    rows: Iterable[Node], kept: Mapping[str, Candidate]
) -> Iterator[tuple[tuple[Candidate, ...], list[Node]]]:
    """The rows that answer each kept node, under the path down to it."""
    children: dict[str, list[Node]] = defaultdict(list)
    for row in rows:
        parent_id = row.candidate.parent_id or ""
        if parent_id in kept and row.candidate.role != "user":
            children[parent_id].append(row)
    parents = [kept[name] for name in children]
    for parent in sorted(parents, key=lambda node: (node.tree_id, node.path)):
        path = _path(parent, kept)
        if path is not None:
            yield path, sorted(children[parent.node_id], key=lambda row: row.candidate.path)


def _path(node: Candidate, kept: Mapping[str, Candidate]) -> tuple[Candidate, ...] | None:
    """From the root down to a node; None where a node above it is not there."""
    path = [node]
    while path[-1].parent_id is not None:
        parent = kept.get(path[-1].parent_id)
        if parent is None:
            return None
        path.append(parent)
    return tuple(reversed(path))


def _sound(siblings: Sequence[Node], *, only_kept: bool) -> list[Node]:
    """Those that are answers, each text once: the kept one, or the first."""
    allowed = frozenset({None}) if only_kept else SOUND | {None}
    sound = [
        row for row in siblings if row.verdict.drop_reason in allowed and row.candidate.text.strip()
    ]
    by_text: dict[str, Node] = {}
    for row in sorted(sound, key=lambda row: not row.verdict.kept):
        by_text.setdefault(row.candidate.text, row)
    return sorted(by_text.values(), key=lambda row: row.candidate.path)


def _answer(row: Node, scores: Scores) -> Answer:
    candidate, verdict = row
    score = scores.of(candidate.node_id)
    return Answer(candidate, verdict.drop_reason, verdict.kept, score)


def _of_siblings(
    path: tuple[Candidate, ...], answers: Sequence[Answer], scores: Scores
) -> Preference:
    known = [(answer.score, answer) for answer in answers if answer.score is not None]
    if len({score for score, _ in known}) < 2:
        return Preference(path, tuple(answers), None, None, None)
    # Of equal ones, the kept one is the better; then the earlier one stands for both.
    _, best = max(known, key=lambda pair: (pair[0], pair[1].kept))
    _, worst = min(known, key=lambda pair: (pair[0], pair[1].kept))
    return Preference(path, tuple(answers), best, worst, scores.name)


def _is_better(answer: Answer, draft: Candidate) -> bool:
    """Nobody judged the draft, so it is not known to be better than what the judge dropped."""
    differ = bool(draft.text.strip()) and answer.candidate.text != draft.text
    return differ and answer.drop_reason != JUDGED


def _of_rewrite(
    path: tuple[Candidate, ...], answer: Answer, draft: Candidate, scores: Scores
) -> Preference:
    worse = Answer(draft, None, kept=False, score=scores.of(draft.node_id))
    return Preference(path, (answer, worse), answer, worse, REWRITE)
