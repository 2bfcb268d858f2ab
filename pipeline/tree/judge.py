"""A model as judge: the turn's own conversation goes on with a question about it.

What comes back is one number about the turn.
"""

import math
import re
from collections.abc import Sequence

import numpy as np

from pipeline.tree.aside import Aside, aside_request, told
from pipeline.tree.frontier import Parent
from pipeline.tree.prompt import tell
from pipeline.tree.run import Run
from schemas.curation_spec import JudgeSpec
from schemas.records import Candidate, Ids, Request, Role, Sampling, to_ids

GREEDY = 0.0
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
_SCALE = re.compile(r"(?:/|out of)\s*\d+")


def question_text(judge: JudgeSpec, role: Role) -> str:
    """The question as it is put: a turn of its own after an answer, else added to the turn."""
    return judge.question if role == "assistant" else f"\n\n{judge.question}"


def judge_requests(
    run: Run, wave: str, parents: Sequence[Parent], judged: Sequence[Candidate], judge: JudgeSpec
) -> list[Request]:
    """One greedy request about each turn."""
    asked = Aside("judge", judge.engine, Sampling(max_tokens=judge.max_tokens, temperature=GREEDY))
    by_id = {parent.node_id: parent for parent in parents}
    return [
        aside_request(
            run, wave, node, _prompt(run, by_id[node.parent_id or ""], node, judge), asked
        )
        for node in judged
    ]


def _prompt(run: Run, parent: Parent, node: Candidate, judge: JudgeSpec) -> Ids:
    """The conversation down to the turn, then the question, then the marker to answer."""
    tongue = run.tongue(judge.engine)
    dialect = run.dialects[tongue]
    question = run.phrases[tongue][question_text(judge, node.role)]
    conversation = told(run, parent, node, judge.engine)
    last: Role = "assistant" if node.role == "assistant" else "text"
    return np.concatenate(
        [tell(conversation, last, question, dialect), to_ids(dialect.ask_assistant)]
    )


def read_score(text: str, judge: JudgeSpec) -> float:
    """The number that a judgement begins with, or the only one in it; NaN where none is.

    A number outside of the judge's scale is none, and `/5` or `out of 5` says the scale.
    """
    said = _SCALE.sub("", text).strip("*_ \n")
    numbers = {float(number) for number in _NUMBER.findall(said)}
    first = _NUMBER.match(said)
    score = float(first.group()) if first else numbers.pop() if len(numbers) == 1 else math.nan
    return score if judge.low <= score <= judge.high else math.nan
