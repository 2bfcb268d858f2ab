"""TG-SFT (arXiv 2406.11354): the model plays user and assistant by turns, level by level.

Balance-Tree and Wide-Tree are settings: several children at each level, or very many at the first
and one below. Where the paper is silent we chose: roots are system prompts with weights, which may
be a list, a data set, or topics that the model named itself (recipe `topics`); repeats are dropped
and the children kept chosen by MMR at every level, as its figure has it; a fan-out too large for
one tree becomes several trees from one root; dialogues with fewer turns are made by ending the
whole subtree of an opening question early.
"""

from pipeline.recipes.method import Method


class TgSft(Method):
    """The main method."""

    name = "tg-sft"
    version = 2
