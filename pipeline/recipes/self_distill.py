"""Self-distillation of task data (SDFT, arXiv 2402.13669): references in the model's own words.

The model is shown the question and the reference and asked for its own answer; readers see the
question and what it wrote. The keep rules are filters: what gives away that there was a reference,
or, on request, ends with another final answer than the reference, is dropped; where nothing is
kept the reference itself stands in, as a row of origin `given`. The words of the request and of
the rules are ours; the paper asks once for each row, and so do we by default.
"""

from dataclasses import replace

from pipeline.recipes.method import Method
from pipeline.tree.recipe import LevelRule
from schemas.errors import SpecError
from schemas.generation_spec import GenerationSpec, fills_in

SHOWN = (
    "{text}\n\nFor orientation, here is an answer that somebody gave:\n\n{reference}\n\n"
    "Answer the question above in your own words and in full, without mentioning that other answer."
)


class SelfDistill(Method):
    """Rewrites the answers of a data set."""

    name = "self-distill"
    text_is = "user"
    needs_reference = True
    defaults = {
        "bounds": {"trees_per_cohort": 64},
        "curation": {
            "filters": ["empty", "truncated", "role_leak", "gives_away"],
            "diversity": None,
        },
    }
    level_defaults = {"assistant": {"fanout": 1, "oversample": 1.0, "shown": SHOWN}}

    def check(self, spec: GenerationSpec) -> None:
        """One level of answers, to rows of data."""
        if spec.roots.data is None:
            raise SpecError(
                "generation.roots.data: missing; expected rows with a question and a reference "
                f"({self.name})."
            )
        super().check(spec)
        if len(spec.levels) > 1:
            raise SpecError(
                f"generation.levels: found {len(spec.levels)}, expected one ({self.name})."
            )
        shown = spec.levels[0].shown
        if shown is None or not fills_in(shown, "reference"):
            found = "null" if shown is None else repr(shown)
            raise SpecError(
                f"generation.levels.0.shown: found {found}, expected a text with {{reference}} in "
                f"it, which is what is written again ({self.name}); `contextual` answers without."
            )

    def rule(self, spec: GenerationSpec, level: int) -> LevelRule:
        """The reference stands in where nothing was kept."""
        return replace(super().rule(spec, level), falls_back=True)
