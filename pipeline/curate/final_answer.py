"""Final answers: what a text comes to in the end, so that two texts can be told to agree.

Only the last 4,000 characters are looked at. A number or letter that is boxed, as LaTeX's
\\boxed{...} does, goes before all others, and so does a number alone on a line after `####`.
"""

import re
from fractions import Fraction

from pipeline.curate.words import collapse, fold

Final = Fraction | str
"""Equal ones agree. Numbers are compared as such, all else without case."""

READ_CHARS = 4000

_RATIO = r"\d+/[1-9]\d*"
_THOUSANDS = r"\d{1,3}(?:,\d{3})+(?!\d)(?:\.\d+)?"
_DECIMAL = r"(?:\d+(?:\.\d+)?|\.\d+)(?:e[+-]?\d{1,3}(?![\da-z]))?"
_MONEY = "$\N{EURO SIGN}\N{POUND SIGN}\N{YEN SIGN}"
# A hyphen after a word or a bracket is no sign, and a digit within a name is no number.
_SIGN = r"(?:(?<![a-z\d_)\]}])(-)[" + _MONEY + "]?)?"
_NUMBER = re.compile(
    _SIGN + rf"(?<![a-z\d_])(?<!\d\.)({_RATIO}|{_THOUSANDS}|{_DECIMAL})",
)
_FRACTION = re.compile(r"\\[dt]?frac\s*\{(\d+)\}\s*\{(\d+)\}")
_BOXED = re.compile(r"\\boxed\s*\{([^{}]*(?:\{[^{}]*\}[^{}]*)*)\}")
_HASHES = re.compile(r"^[ \t]*####(.+)$", re.MULTILINE)

_MARKS = " \t.,;:!?*_`#$\"'\N{LEFT DOUBLE QUOTATION MARK}\N{RIGHT DOUBLE QUOTATION MARK}"
_RULES = f"{_MARKS}-=~|"
"""Lines of nothing but these draw a line, or open and close something."""
_AROUND_NUMBERS = f"{_MARKS}{_MONEY}%"

# Somebody who says "I" chooses nothing by it.
_LETTER = r"([A-HJ-Z](?![\w'\u2019])|I(?![\w'\u2019]|\s+[a-z]))"
_BEFORE_LETTER = r"[\s*_(\[\"'`]*"
_CHOICES = (
    re.compile(
        r"(?i:\b(?:answer|option|choice)\b(?:\s*:|[^.!?:\n]{0,60}?\b(?:is|be)\b:?))"
        + _BEFORE_LETTER
        + _LETTER
    ),
    re.compile(r"(?i:\b(?:option|choice)\b:?)" + _BEFORE_LETTER + _LETTER),
    re.compile(r"^(?:[^\w\n]|_)*([A-Za-z])(?:[^\w\n]|_)*$", re.MULTILINE),
    re.compile(r"(?<!\w)[(\[]([A-Za-z])[)\]]"),
    re.compile(r"^[ \t*_]*([A-Z])[.):]", re.MULTILINE),
)
"""Said to be the answer; called an option; on a line of its own; in brackets; before an
option's text. The surest first."""
_LONE_LETTER = re.compile(r"(?<![A-Za-z\\])[A-Za-z](?![A-Za-z])")


def find_number(text: str) -> Final | None:
    """The last number: commas and trailing zeros do not matter, and 1/2 is 0.5."""
    end = _folded(text)
    boxed = _last(_BOXED, end)
    found = _last_number(boxed) if boxed is not None else None
    if found is None and (after := _last(_HASHES, end)) is not None:
        found = _as_number(after)
    return _last_number(end) if found is None else found


def find_choice(text: str) -> Final | None:
    """The letter of an option, in upper case."""
    end = text[-READ_CHARS:]
    letters = _LONE_LETTER.findall(_last(_BOXED, end) or "")
    if len(letters) == 1:
        return str(letters[0]).upper()
    found = (_last(pattern, end) for pattern in _CHOICES)
    return next((letter.upper() for letter in found if letter is not None), None)


def find_line(text: str) -> Final | None:
    """The last line that holds more than punctuation, without that around it."""
    lines = reversed(text[-READ_CHARS:].splitlines())
    return next((_plain(line) for line in lines if line.strip(_RULES)), None)


def find_pattern(text: str, pattern: str) -> Final | None:
    """What the one group of a regular expression finds last, compared as a line is."""
    found = _last(re.compile(pattern), text[-READ_CHARS:])
    return None if found is None else _plain(found) or None


def _folded(text: str) -> str:
    """The end of a text in one spelling, fractions on one line."""
    # To fold may make a text longer.
    folded = fold(text[-READ_CHARS:])[-READ_CHARS:].replace("\N{MINUS SIGN}", "-")
    return _FRACTION.sub(r"\1/\2", folded)


def _last(pattern: re.Pattern[str], text: str) -> str | None:
    """What the first group of a pattern holds where it last takes part in a match."""
    found = None
    for match in pattern.finditer(text):
        found = found if match[1] is None else match[1]
    return found


def _last_number(folded: str) -> Fraction | None:
    found = None
    for match in _NUMBER.finditer(folded):
        found = match
    return None if found is None else _fraction(found)


def _as_number(text: str) -> Fraction | None:
    """A text that is nothing but a number."""
    stripped = text.strip(_AROUND_NUMBERS)
    # A point may be where the number begins.
    match = _NUMBER.fullmatch(stripped)
    return None if match is None else _fraction(match)


def _fraction(match: re.Match[str]) -> Fraction:
    return Fraction((match[1] or "") + match[2].replace(",", ""))


def _plain(text: str) -> Final:
    number = _as_number(_folded(text))
    if number is not None:
        return number
    return collapse(fold(text)).strip(_MARKS).removeprefix("- ")
