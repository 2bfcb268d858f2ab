"""Recipes: one small pure file for each published method of making a model write.

A recipe says what the roots are, who speaks at each level, how many children are asked of each
parent and when a branch ends. Sees the schemas and `tree`.

To add one: a file here, a line in `RECIPES`, a commented spec in `jobs/specs/`, and golden
requests in `tests/golden/`.
"""

from pipeline.recipes.tg_sft import TgSft
from pipeline.tree.recipe import Recipe

RECIPES: dict[str, Recipe] = {TgSft.name: TgSft()}
