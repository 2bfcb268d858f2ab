"""What the model was shown, rebuilt from rows, and a turn token by token."""

from itertools import groupby
from operator import itemgetter
from typing import Any

import numpy as np

from pipeline.report.story import Story
from pipeline.tree.frontier import grown, prompt_of
from pipeline.tree.identity import prompt_hash
from pipeline.tree.prompt import spoken
from pipeline.tree.roots import root_parents
from pipeline.tree.run import Run
from pipeline.view.run import ViewedRun
from schemas.records import Candidate, Ids, to_ids

_BEFORE = 8
"""Tokens that are decoded again with the next one, as some write their space only after others."""
_MOST_PIECES = 4096

Part = tuple[str, bool]
"""A piece of a prompt, and whether it is control tokens."""


def prompt(viewed: ViewedRun, story: Story) -> dict[str, Any] | None:
    """The ids a turn was asked from, whether they are proven to be those, and what they say; None
    where they cannot be rebuilt."""
    run, turn = viewed.at_hand.run, story.turn
    if run is None or turn is not story.node or turn.origin == "given" or not turn.level:
        return None
    ids = _ids(run, story)
    if ids is None:
        return None
    decoded = _decoded(viewed, turn.model_index, ids)
    return {
        "num_tokens": len(ids),
        # What was written again was asked for by another prompt, the hash of which is stored.
        "proven": turn.prompt_hash == prompt_hash(ids) if turn.origin == "sampled" else None,
        "decoded": decoded is not None,
        "parts": decoded or _told(run, story, ids),
    }


def _told(run: Run, story: Story, ids: Ids) -> list[Part]:
    """Without a tokenizer: the texts that are stored, and between them the ids that are not."""
    turn, root = story.turn, story.root
    own = (turn.level, run.tongues[turn.model_index])
    opening = root.opening(*own).ids
    at = len(opening)
    frame = "\n".join(text for _, text in root.frame)
    # Where a level is asked for with something else than the frame, only its ids are stored.
    parts: list[Part] = [(_numbers(opening), True) if own in root.openings else (frame, False)]
    for above in story.path[1 : turn.level]:
        start = _find(ids, spoken(above), at)
        if start is None:
            break
        parts += [(_numbers(ids[at:start]), True), (above.text, False)]
        at = start + len(spoken(above))
    return [part for part in (*parts, (_numbers(ids[at:]), True)) if part[0]]


def _find(ids: Ids, wanted: Ids, start: int) -> int | None:
    width = len(wanted)
    places = range(start, len(ids) - width + 1)
    return next((at for at in places if np.array_equal(ids[at : at + width], wanted)), None)


def _numbers(ids: Ids) -> str:
    return f" {' '.join(map(str, ids.tolist()))} " if len(ids) else ""


def _decoded(viewed: ViewedRun, model_index: int, ids: Ids) -> list[Part] | None:
    """Of a long prompt the end."""
    ids = ids[-_MOST_PIECES:]
    texts = _texts(viewed, model_index, ids)
    if texts is None:
        return None
    dialect = viewed.run_file.dialects[viewed.run_file.tongues[model_index]]
    stops = (*dialect.user_stop_ids, *dialect.assistant_stop_ids, *dialect.text_stop_ids)
    control = {*dialect.start, *dialect.leak_ids, *stops}
    told = zip(texts, (int(i) in control for i in ids), strict=True)
    groups = groupby(told, key=itemgetter(1))
    return [("".join(text for text, _ in run), special) for special, run in groups]


def _ids(run: Run, story: Story) -> Ids | None:
    [parent] = root_parents(run, [story.root])
    turns = [turn for turn in story.path[1:] if turn.kind == "turn"]
    for above in turns[:-1]:
        parent = grown(run, parent, above)
    return prompt_of(run, parent, run.rule(story.turn.level))


def pieces_of(viewed: ViewedRun, node: Candidate) -> list[list[Any]] | None:
    """Each token's text (None without a tokenizer), id and log-probability, where those are
    stored."""
    ids, logprobs = node.token_ids[:_MOST_PIECES], node.token_logprobs
    if logprobs is None:
        return None
    texts = _texts(viewed, node.model_index, ids)
    # The terminator may have one as well.
    return [
        [texts[i] if texts else None, int(ids[i]), round(float(logprobs[i]), 4)]
        for i in range(min(len(ids), len(logprobs)))
    ]


def _texts(viewed: ViewedRun, model_index: int, ids: Ids) -> list[str] | None:
    """What each token adds to the text; a character of several tokens comes with its last."""
    texts: list[str] = []
    start = 0
    for end in range(1, len(ids) + 1):
        before = viewed.decode(model_index, to_ids(ids[start : end - 1]))
        after = viewed.decode(model_index, to_ids(ids[start:end]))
        if before is None or after is None:
            return None
        settled = before.rstrip("\ufffd")
        whole = not after.endswith("\ufffd")
        texts.append(after[len(settled) :] if whole else "")
        if whole and end - start > _BEFORE:
            start = end - 1
    return texts
