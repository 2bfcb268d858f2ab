"""TG-PT (arXiv 2406.11354): a base model continues a lead-in, and its continuations, as a tree.

No roles and no template: each level goes on exactly where its parent ends. The paper gives one
lead-in and neither lengths nor a tree's shape. We chose: the lead-in follows the id that begins a
text, it may be any list or data set of texts, a continuation ends with the text or at its level's
max_tokens, and one that came to its end is not continued past it (its children begin where it
ended, which a filter on `truncated` turns into a choice).
"""

from pipeline.recipes.method import Method
from schemas.records import Frame, RootRow

LEAD_IN = "Here are some useful facts about the world:"


class TgPt(Method):
    """For base models."""

    name = "tg-pt"
    text_is = "text"
    stops = "text"
    defaults = {"curation": {"filters": ["empty", "repetition"], "duplicates": "near"}}

    def given(self, row: RootRow) -> Frame:
        """The row's text, or our own lead-in."""
        return super().given(row if row.text else RootRow(LEAD_IN))
