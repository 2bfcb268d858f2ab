"""Made of symbols rather than words.

Gopher (Rae et al. 2021, A1.1): hash signs or ellipses to words above 0.1; fewer than 80% of words
with a letter; more than 90% of lines that begin with a bullet, more than 30% that end in an
ellipsis. What we changed for turns: one symbol alone is none, as a short turn may trail off; hash
signs at the start of a line are headings, which chat models write, and are not counted; shares of
lines are NaN for a single line, which is no list. The rule on letters also drops bare calculations.
Scores `words`, `symbol_to_word`, `alphabetic_words`, `bullet_lines`, `ellipsis_lines`.
"""

import re
from collections.abc import Sequence

from pipeline.curate.filters.filter import Filter, Mask, always, score, share_of
from pipeline.curate.reading import Reading
from schemas.filter_spec import SymbolsSpec
from schemas.measures import Measures

_BULLETS = ("-", "*", "\u2022", "\u2023", "\u25cf", "\u25e6", "\u2043")
_ELLIPSES = ("...", "\u2026")
_HEADING = re.compile(r"^[ \t]*#{1,6}[ \t]", re.MULTILINE)


def _measure(reading: Reading, entries: Sequence[SymbolsSpec]) -> tuple[float, ...]:
    pieces = reading.pieces
    others = [piece for piece in pieces if not piece.isalpha()]
    without = len([piece for piece in others if not any(map(str.isalpha, piece))])
    return (
        len(reading.words),
        share_of(_symbols(reading.turn.text), len(pieces)),
        share_of(len(pieces) - without, len(pieces)),
        *_of_lines(reading.lines),
    )


def _symbols(text: str) -> int:
    hashes = text.count("#")
    if hashes:
        hashes -= sum(heading.count("#") for heading in _HEADING.findall(text))
    found = hashes + sum(text.count(ellipsis) for ellipsis in _ELLIPSES)
    return found if found > 1 else 0


def _of_lines(lines: list[str]) -> tuple[float, float]:
    if len(lines) < 2:
        return share_of(0, 0), share_of(0, 0)
    bullets = sum(line.startswith(_BULLETS) for line in lines)
    ellipses = sum(line.endswith(_ELLIPSES) for line in lines)
    return share_of(bullets, len(lines)), share_of(ellipses, len(lines))


def _drops(measures: Measures, spec: SymbolsSpec) -> Mask:
    over = (
        (score(measures, "symbol_to_word") > spec.max_symbol_to_word)
        | (score(measures, "alphabetic_words") < spec.min_alphabetic_words)
        | (score(measures, "bullet_lines") > spec.max_bullet_lines)
        | (score(measures, "ellipsis_lines") > spec.max_ellipsis_lines)
    )
    out: Mask = over & (score(measures, "words") >= spec.min_words)
    return out


SYMBOLS = Filter(
    version=1,
    columns=always("words", "symbol_to_word", "alphabetic_words", "bullet_lines", "ellipsis_lines"),
    measure=_measure,
    drops=_drops,
)
