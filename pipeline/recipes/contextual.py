"""Contextual data: the model's own answers to the prompts of a given data set.

The contrast to context-free data in arXiv 2505.13811: it ties the model down on the inputs of the
task only. A row's prompt may be one text, with a system prompt, or a conversation that ends with a
user's message; the answer is sampled below it, and further turns if the spec has more levels.
Two prompts may have the same answer, so repeats are looked for among the answers to one prompt.
"""

from pipeline.recipes.method import Method


class Contextual(Method):
    """Answers to given prompts."""

    name = "contextual"
    text_is = "user"
    defaults = {"bounds": {"trees_per_cohort": 64}, "curation": {"diversity": None}}
    level_defaults = {"assistant": {"oversample": 1.0}}
