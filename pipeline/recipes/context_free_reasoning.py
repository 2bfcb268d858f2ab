"""Context-free data for models that were tuned to reason: from the template's own opening.

Such a model has seen little but its own template since it learned to reason, and what is to be
kept is the reasoning. So a row begins with what stands before any user's text (no system prompt but
the template's own) and goes on, in one piece, through a question, the markers, the reasoning and
the answer, to what ends a text. The paper does not say which prefix it used; with this one the
sample is unbiased for what the model writes after that opening, markers included.

Ids that also stand between a question and its answer do not end a row: where the template knows no
other end (ChatML closes every turn alike), rows run on to the end of a text or to max_tokens.
"""

from pipeline.recipes.context_free import ContextFree
from schemas.records import Frame, RootRow


class ContextFreeReasoning(ContextFree):
    """From the opening of the chat template."""

    name = "context-free-reasoning"
    stops = "whole"

    def given(self, row: RootRow) -> Frame:
        """Nothing: the template's own beginning."""
        return ()
