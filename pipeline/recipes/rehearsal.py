"""Rehearsal (SSR, arXiv 2403.01244): instances of an old task, made by showing examples of it.

Each tree draws `roots.examples` rows of a data set. While a question is asked for they stand there
as the conversation so far, so that the model goes on with one more of their kind; readers see only
what it wrote. The answer is then written without the examples, by another model if its level names
another engine group: the latest checkpoint, which refines what the base model's prompt began.
The paper formats examples as text; in a chat model's own turns the end of a question is its own
marker, and needs no parsing. Choosing diverse instances is `curation.diversity`.
"""

import random
from collections.abc import Sequence
from dataclasses import replace

from pipeline.recipes.method import Method
from schemas.errors import SpecError
from schemas.generation_spec import GenerationSpec
from schemas.records import Frame, Message, RootRow


class Rehearsal(Method):
    """New instances from examples."""

    name = "rehearsal"
    needs_reference = True
    defaults = {"roots": {"examples": 3}}

    def check(self, spec: GenerationSpec) -> None:
        """Examples come from rows of data, and trees must be counted."""
        super().check(spec)
        if spec.roots.data is None or spec.roots.trees is None:
            raise SpecError(
                "generation.roots: expected `data`, rows with a question and a reference, and "
                f"`trees`, how many sets of examples are drawn from it ({self.name})."
            )

    def unfit(self, row: RootRow) -> str | None:
        """Of a conversation, the last question is shown with its reference."""
        return super().unfit(replace(row, messages=()))

    def picks(self, spec: GenerationSpec, rows: int, tree_id: int) -> tuple[int, ...]:
        """Different rows for one tree, drawn by the run's seed and the tree."""
        draw = random.Random(f"{spec.seed} {tree_id}")
        return tuple(draw.sample(range(rows), min(rows, spec.roots.examples)))

    def given(self, row: RootRow) -> Frame:
        """Nothing: readers do not see examples."""
        return ()

    def frame(self, spec: GenerationSpec, rows: Sequence[RootRow], level: int) -> Frame:
        """The examples as a conversation, while a first question is asked for."""
        frame = super().frame(spec, rows, level)
        if level != 1:
            return frame
        return (*frame, *(message for row in rows for message in _as_turns(row)))


def _as_turns(row: RootRow) -> Frame:
    question = row.messages[-1].text if row.messages else row.text
    return Message("user", question), Message("assistant", row.reference or "")
