"""Which parts two texts share, word by word. Pure."""

import re
from collections.abc import Sequence
from difflib import SequenceMatcher
from itertools import groupby

Part = tuple[str, bool]
"""A piece of a text, and whether the other has it too."""

_WORDS = re.compile(r"\w+|\s+|[^\w\s]")
MOST_WORDS = 1500
"""Longer texts are compared in their beginnings."""
LEAST_LETTERS = 6
"""Shorter parts are marked only where they are half of a text."""


def shared_parts(one: str, other: str) -> tuple[list[Part], list[Part]]:
    """Both texts in pieces, in order; joined, the pieces are the texts again."""
    ours, theirs = _WORDS.findall(one), _WORDS.findall(other)
    places = [_places(words) for words in (ours, theirs)]
    first, second = (
        [w[i].casefold() for i in at] for w, at in zip((ours, theirs), places, strict=True)
    )
    common: tuple[set[int], set[int]] = (set(), set())
    for block in SequenceMatcher(None, first, second, autojunk=False).get_matching_blocks():
        said = first[block.a : block.a + block.size]
        # Two texts that have an "of the" or a comma in common share nothing.
        if _letters(said) < LEAST_LETTERS and 2 * len(said) < min(len(first), len(second)):
            continue
        for side, start in enumerate((block.a, block.b)):
            common[side].update(places[side][start : start + block.size])
    return _joined(ours, common[0]), _joined(theirs, common[1])


def _places(words: Sequence[str]) -> list[int]:
    """Of all but white space."""
    return [i for i, word in enumerate(words) if not word.isspace()][:MOST_WORDS]


def _letters(words: Sequence[str]) -> int:
    return sum(len(word) for word in words if word[0].isalnum())


def _joined(words: Sequence[str], common: set[int]) -> list[Part]:
    def is_common(i: int) -> bool:
        # White space is shared where it stands between shared words.
        return i in common or (words[i].isspace() and {i - 1, i + 1} <= common)

    runs = groupby(range(len(words)), key=is_common)
    return [("".join(words[i] for i in run), both) for both, run in runs]
