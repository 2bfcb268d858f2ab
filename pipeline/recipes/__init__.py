"""Recipes: one small pure file for each published method of making a model write.

A recipe says what the roots are, who speaks at each level, what the model is shown, how many
children are asked of each parent and when a branch ends. Sees the schemas and `tree`.

To add one here: a file that derives from `Method`, a line in `RECIPES`, a commented spec in
`jobs/specs/`, and golden requests in `tests/golden/`. One of your own needs none of this: a spec
names it as `package.module:Class`.
"""

from pipeline.recipes.context_free import ContextFree
from pipeline.recipes.context_free_reasoning import ContextFreeReasoning
from pipeline.recipes.contextual import Contextual
from pipeline.recipes.magpie import Magpie
from pipeline.recipes.method import Method, with_system
from pipeline.recipes.rehearsal import Rehearsal
from pipeline.recipes.self_distill import SelfDistill
from pipeline.recipes.tg_pt import TgPt
from pipeline.recipes.tg_sft import TgSft
from pipeline.recipes.topics import Topics

__all__ = ["RECIPES", "Method", "with_system"]

RECIPES: dict[str, Method] = {
    recipe.name: recipe
    for recipe in (
        TgSft(),
        TgPt(),
        ContextFree(),
        ContextFreeReasoning(),
        Magpie(),
        Contextual(),
        SelfDistill(),
        Rehearsal(),
        Topics(),
    )
}
