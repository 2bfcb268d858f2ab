"""How far a check reaches: some things can be proven only with a model's tokenizer at hand."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from pipeline.tree.frontier import Parent
from pipeline.tree.prompt import count_reasoning
from pipeline.tree.run import Run
from schemas.records import Candidate, Ids

Decode = Callable[[Ids], str]

PROMPTS = ("turns", "judgements", "critiques", "rewrites")
"""What prompts are for."""
UNPROVEN = (*PROMPTS, "texts", "openings", "level_openings")
"""What may remain unproven: prompts, texts as decodings of ids, and what stands before turns, all
of the time or while one level is asked for only."""


class Reach(NamedTuple):
    """What is at hand, and how much that leaves out."""

    decoders: Mapping[int, Decode]
    """By tongue, where its tokenizer is at hand."""
    unproven: Counter[str]
    """By the kinds above."""


def can_tell(run: Run, parent: Parent, node: Candidate, group: str) -> bool:
    """Whether the conversation down to a turn can be put into the ids of a group's model here."""
    tongue = run.tongue(group)
    own = run.tongues[node.model_index] == tongue
    return parent.bodies[tongue] is not None and (own or bool(run.spellers))


def text_defects(run: Run, name: str, candidate: Candidate, reach: Reach) -> Iterator[str]:
    """Of anything sampled: what follows from its token ids."""
    tongue = run.tongues[candidate.model_index]
    reasoning = count_reasoning(candidate.token_ids, run.dialects[tongue])
    if candidate.role == "assistant" and candidate.reasoning_tokens != reasoning:
        yield f"{name}: {candidate.reasoning_tokens} reasoning tokens, its ids give {reasoning}."
    decode = reach.decoders.get(tongue)
    if decode is None:
        reach.unproven["texts"] += candidate.failure is None
    elif decode(candidate.token_ids) != candidate.text:
        yield f"{name}: its text is not the decoding of its token ids."
