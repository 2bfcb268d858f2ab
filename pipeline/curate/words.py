"""Words: where they stand in many texts at once, in any script.

A word is a run of letters, digits, underscores and the marks on them. Scripts that are written
without spaces have no runs to cut, so there each letter with its marks is a word.
"""

import unicodedata
from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

_BREAK, _LETTER, _MARK, _SPACELESS, _SPACELESS_MARK = range(5)
"""What a code point is to a word."""

_SPACELESS_RANGES = (
    (0x0E00, 0x0EFF),  # Thai, Lao
    (0x1000, 0x109F),  # Myanmar
    (0x1780, 0x17FF),  # Khmer
    (0x1950, 0x19DF),  # Tai Le, New Tai Lue
    (0x1A20, 0x1AAF),  # Tai Tham
    (0x1B00, 0x1B7F),  # Balinese
    (0x3005, 0x3007),  # Han iteration marks
    (0x3040, 0x30FF),  # Hiragana, Katakana
    (0x31F0, 0x31FF),  # Katakana extensions
    (0x3400, 0x4DBF),  # Han
    (0x4E00, 0x9FFF),
    (0xA980, 0xA9FF),  # Javanese, Myanmar
    (0xAA60, 0xAA7F),  # Myanmar
    (0xF900, 0xFAFF),  # Han
    (0x1AFF0, 0x1B16F),  # Kana
    (0x20000, 0x3FFFF),  # Han
)
_END_OF_LETTERS = 0x40000
_END = 0x110000
_VARIATION_SELECTORS = range(0xFE00, 0xFE10)
"""Marks by category, but what they follow is emoji more often than letters."""


class Words(NamedTuple):
    """The words of some folded texts, which stand one after the other."""

    codes: npt.NDArray[np.unsignedinteger]
    """The code points of all texts."""
    inside: npt.NDArray[np.bool_]
    """By code point, whether it is part of a word."""
    starts: npt.NDArray[np.intp]
    """By word, where it begins in `codes`."""
    ends: npt.NDArray[np.intp]
    firsts: npt.NDArray[np.intp]
    """By text, its first word; and at the end how many words there are."""


class Spelled(NamedTuple):
    """Normalised texts, each before a space. Those without words are empty."""

    codes: npt.NDArray[np.unsignedinteger]
    starts: npt.NDArray[np.intp]
    """By text."""
    ends: npt.NDArray[np.intp]


def fold(text: str) -> str:
    """The text without differences of case, width and composition."""
    if text.isascii():
        return text.lower()
    # To fold case can take composed letters apart.
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())


def normalise(text: str) -> str:
    """Its folded words with one space between; for want of words, all that is not a space."""
    folded = fold(text)
    codes = spell(find_words([folded])).codes
    spelled = codes.astype("<u4").tobytes().decode("utf-32-le", "surrogatepass")
    return spelled[:-1] or collapse(folded)


def collapse(folded: str) -> str:
    """What a text without words is compared by."""
    return " ".join(folded.split())


def find_words(folded: Sequence[str]) -> Words:
    """The words of folded texts."""
    codes = code_points("\n".join(folded))
    kinds = _kinds(_END if codes.itemsize > 1 else 0x80).take(codes)
    before = np.zeros_like(kinds)
    before[1:] = kinds[:-1]
    inside, was_inside = kinds > _BREAK, before > _BREAK
    # Among letters without spaces each begins a word, and so does what follows them.
    cut = (kinds == _SPACELESS) | ((kinds == _LETTER) & (before >= _SPACELESS))
    starts = np.flatnonzero(inside & (cut | ~was_inside))
    ends = np.flatnonzero(was_inside & (cut | ~inside))
    if len(ends) < len(starts):
        ends = np.append(ends, len(codes))
    begins = np.zeros(len(folded) + 1, dtype=np.intp)
    np.cumsum([len(text) + 1 for text in folded], out=begins[1:])
    return Words(codes, inside, starts, ends, np.searchsorted(starts, begins))


def spell(words: Words) -> Spelled:
    """The texts of which these are the words, with one space between words."""
    bounds = np.zeros(len(words.starts) + 1, dtype=np.intp)
    np.cumsum(words.ends - words.starts + 1, out=bounds[1:])
    in_word = np.ones(bounds[-1], dtype=np.bool_)
    in_word[bounds[1:] - 1] = False
    codes = np.full(bounds[-1], ord(" "), dtype=words.codes.dtype)
    codes[in_word] = words.codes[words.inside]
    edges = bounds[words.firsts]
    return Spelled(codes, edges[:-1], np.maximum(edges[1:] - 1, edges[:-1]))


def code_points(text: str) -> npt.NDArray[np.unsignedinteger]:
    """The code points of any text, lone surrogates among them: bytes if all are ASCII."""
    if text.isascii():
        return np.frombuffer(text.encode("ascii"), dtype=np.uint8)
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype="<u4")


@cache
def _kinds(end: int) -> npt.NDArray[np.uint8]:
    """The kind of each code point below `end`."""
    kinds = np.zeros(end, dtype=np.uint8)
    kinds[:_END_OF_LETTERS] = [_kind(chr(code)) for code in range(min(end, _END_OF_LETTERS))]
    for first, last in _SPACELESS_RANGES:
        kinds[first : last + 1][kinds[first : last + 1] > _BREAK] += _SPACELESS - _LETTER
    return kinds


def _kind(letter: str) -> int:
    if letter.isalnum() or letter == "_":
        return _LETTER
    is_mark = unicodedata.category(letter) in ("Mn", "Mc")
    return _MARK if is_mark and ord(letter) not in _VARIATION_SELECTORS else _BREAK
