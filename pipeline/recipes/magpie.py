"""Magpie (arXiv 2406.08464): the bare template makes the model write the user's question.

A question is sampled at temperature 1 from the pre-query template, and ends at a newline, because
models tend to run on into the answer; the answer is greedy. From the second turn on, a system
prompt that announces a conversation of several turns stands there while questions are made, and
only then: answers, and what readers see, are without it. All of this can be changed in the spec.
The published pipeline then filters the whole corpus; here that is `curation` and `arborist refine`.
The words of that system prompt are ours. Where a tokenizer has the newline in one token with the
mark before it, a question that ends there loses the mark: a stop inside a token drops the token.
"""

from collections.abc import Sequence

from pipeline.recipes.method import Method, with_system
from schemas.generation_spec import GenerationSpec
from schemas.records import Frame, RootRow

SEVERAL_TURNS = (
    "This is a conversation of several turns between a person and a helpful assistant. After each "
    "answer the person follows up on it: asks for more, for something different, or for a change."
)


class Magpie(Method):
    """One question and answer a branch, or several turns."""

    name = "magpie"
    defaults = {"curation": {"diversity": None}}
    level_defaults = {
        "user": {"temperature": 1.0, "stop": ["\n"], "oversample": 1.0},
        "assistant": {"fanout": 1, "temperature": 0.0},
    }

    def frame(self, spec: GenerationSpec, rows: Sequence[RootRow], level: int) -> Frame:
        """Questions after the first stand under a system prompt of their own."""
        frame = super().frame(spec, rows, level)
        if level < 2 or spec.levels[level - 1].role != "user":
            return frame
        chosen = spec.levels[level - 1].system
        return frame if chosen is not None else with_system(frame, SEVERAL_TURNS)
