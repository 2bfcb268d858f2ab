"""A conversation as one model's ids: what it saw and sampled, from the opening to the last end.

The ids before the turn that ends a path are the prompt that this turn was sampled from, made by
`pipeline.tree.prompt`, below the opening that readers see: what a level showed only while it was
asked for is not there. Earlier turns stand as history has them. Where the template strips reasoning
from history, or asks for an answer by other ids than history has before one, an answer in the
middle is not what was sampled, or does not stand where it was; only at the end it is and does.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from pipeline.sft.example import Mask
from pipeline.tree.prompt import ask, begin, spoken, tell
from pipeline.tree.run import Run
from schemas.dialect import Dialect
from schemas.records import Candidate, Ids, Role, Root, to_ids


class TurnSpan(NamedTuple):
    """Where a turn's own ids stand."""

    start: int
    stop: int
    ended: bool
    """Whether the id at `stop` is the terminator that was sampled after them. Between turns that
    is the first id of the marker, where it is the same."""


class PathIds(NamedTuple):
    """A whole conversation."""

    ids: Ids
    opening: int
    """How many ids stand before all turns."""
    spans: tuple[TurnSpan, ...]
    """Of the nodes below the root."""


def path_ids(run: Run, root: Root, path: Sequence[Candidate]) -> PathIds | None:
    """The ids along a path, root first, that ends with a turn of the model; None where models with
    different ids or markers wrote it by turns."""
    turns = [node for node in path if node.level]
    leaf, tongue = turns[-1], run.tongues[turns[-1].model_index]
    if any(run.tongues[node.model_index] != tongue for node in turns):
        return None
    opening = root.opening(leaf.level if leaf.role == "text" else 0, tongue)
    body, last, stops = _history(run, tongue, turns[:-1])
    prompt = begin(opening, body if stops else None, run.dialects[tongue])
    shift = len(prompt) - len(body)
    prompt, last = _introduced(run, tongue, leaf, prompt, last if stops else opening.last)
    prompt = _asked(prompt, last, leaf, run.dialects[tongue])
    end = to_ids([] if leaf.stop_id is None else [leaf.stop_id])
    ids: Ids = np.concatenate([prompt, leaf.token_ids, end])
    spans = [_span(ids, node, stop + shift) for node, stop in zip(turns, stops, strict=False)]
    spans.append(TurnSpan(len(prompt), len(ids) - len(end), bool(len(end))))
    return PathIds(ids, len(opening.ids), tuple(spans))


def _history(run: Run, tongue: int, turns: Sequence[Candidate]) -> tuple[Ids, Role, list[int]]:
    """Turns as later prompts repeat them, who speaks last, and where the ids of each one end."""
    body, stops = to_ids(()), list[int]()
    last: Role = "system"
    for node in turns:
        body, last = _introduced(run, tongue, node, body, last)
        body, last = tell(body, last, spoken(node), run.dialects[tongue]), node.role
        stops.append(len(body))
    return body, last, stops


def _introduced(
    run: Run, tongue: int, node: Candidate, before: Ids, last: Role
) -> tuple[Ids, Role]:
    """With what the run itself says before a turn."""
    say = run.rules[node.level - 1].say
    if say is None:
        return before, last
    return tell(before, last, run.phrases[tongue][say], run.dialects[tongue]), "user"


def _asked(before: Ids, last: Role, node: Candidate, dialect: Dialect) -> Ids:
    """Down to where a turn starts; nobody was asked for what is given."""
    if node.origin == "given":
        return tell(before, last, to_ids(()), dialect)
    return ask(before, last, dialect)


def _span(ids: Ids, node: Candidate, stop: int) -> TurnSpan:
    """Of a turn in the middle. A text goes on without a marker, past where it came to its end."""
    ended = node.role != "text" and stop < len(ids) and int(ids[stop]) == node.stop_id
    return TurnSpan(stop - len(spoken(node)), stop, ended)


def is_whole_last_only(run: Run, node: Candidate) -> bool:
    """Whether a turn is what was sampled, where it was sampled, only if a path ends with it."""
    if node.role != "assistant" or node.origin == "given":
        return False
    dialect = run.dialects[run.tongues[node.model_index]]
    return bool(node.reasoning_tokens) or dialect.ask_assistant != dialect.after_user


def learned_ids(found: PathIds, learns: Sequence[bool], *, everything: bool) -> Mask:
    """Which ids carry loss, by which nodes do, root first: their own ids and terminators, or (with
    `everything`) also all that stands between them and the node above; the root's is the opening.

    The first id never does, as nothing predicts it.
    """
    learned: Mask = np.zeros(len(found.ids), dtype=np.bool_)
    learned[: found.opening] = everything and learns[0]
    before = found.opening
    for (start, stop, ended), learn in zip(found.spans, learns[1:], strict=True):
        learned[before if everything else start : stop + ended] = learn
        before = stop + ended
    learned[:1] = False
    return learned
