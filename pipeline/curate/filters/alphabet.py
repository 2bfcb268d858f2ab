"""Written in other letters than those asked for.

The rule of mC4's and OSCAR's cleaning (and data-juicer's alphanumeric ratio), by script: of all
letters, those of the scripts asked for. Emoji, digits and punctuation are no letters. Compared
with language, it is sure of short turns too. Scores `letters`, how many there are, and one
`letters_<script>` for each script that an entry names; counts, so that shares of several scripts
add up exactly.
"""

from collections import Counter
from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from pipeline.curate.filters.filter import Filter, Mask, score
from pipeline.curate.reading import Reading
from schemas.filter_spec import AlphabetSpec
from schemas.measures import Measures
from schemas.writing import script_of

_NO_LETTERS = bytes(code for code in range(128) if not chr(code).isalpha())
_script = lru_cache(maxsize=1 << 16)(script_of)


def _columns(entries: Sequence[AlphabetSpec]) -> tuple[str, ...]:
    return ("letters", *(f"letters_{script}" for script in _scripts(entries)))


def _scripts(entries: Sequence[AlphabetSpec]) -> list[str]:
    return sorted({script for entry in entries for script in entry.scripts})


def _measure(reading: Reading, entries: Sequence[AlphabetSpec]) -> tuple[float, ...]:
    counts = _count(reading.turn.text)
    return (sum(counts.values()), *(counts[script] for script in _scripts(entries)))


def _count(text: str) -> Counter[str]:
    """Letters by script."""
    if text.isascii():
        return Counter(latin=len(text.encode().translate(None, _NO_LETTERS)))
    counts: Counter[str] = Counter()
    for char, count in Counter(text).items():
        if script := _script(char):
            counts[script] += count
    return counts


def _drops(measures: Measures, spec: AlphabetSpec) -> Mask:
    letters = score(measures, "letters")
    asked = [score(measures, f"letters_{script}") for script in dict.fromkeys(spec.scripts)]
    share = np.sum(asked, axis=0, dtype=np.float32) / np.maximum(letters, 1)
    out: Mask = (letters >= spec.min_letters) & (share < spec.min_share)
    return out


ALPHABET = Filter(version=1, columns=_columns, measure=_measure, drops=_drops)
