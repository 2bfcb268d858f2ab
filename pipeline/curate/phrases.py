"""Phrases that are looked for in normalised texts, at the borders of words."""

from collections.abc import Iterable, Set
from functools import cache

from pipeline.curate.words import normalise


class Phrases:
    """Texts, ready to be looked for; those that hold nothing are left out."""

    def __init__(self, texts: Iterable[str]) -> None:
        phrases = dict.fromkeys(found for text in texts if (found := normalise(text)))
        self._by_word: dict[str, list[str]] = {}
        for phrase in phrases:
            self._by_word.setdefault(max(phrase.split(), key=len), []).append(f" {phrase} ")

    def count(self, normalised: str, vocabulary: Set[str]) -> int:
        """How many stand in a normalised text, of which `vocabulary` holds all words."""
        # Few texts have the longest word of a phrase, so the rest is looked for in these alone.
        words = self._by_word.keys() & vocabulary
        if not words:
            return 0
        framed = f" {normalised} "
        return sum(phrase in framed for word in words for phrase in self._by_word[word])


phrases_of = cache(Phrases)
"""The same phrases are made ready but once."""
