"""Not in one of the languages asked for.

C4 keeps pages that langdetect calls English with a probability of 0.99, FineWeb those above 0.65 by
fastText. Turns are short and any identifier is less sure of them, so the bound is 0.5, on the
allowed languages together, and very short turns are not judged. Scores `chars` and one
`language_<code>` for each language that an entry allows: its probability by py3langid, over the
first 4,000 characters; NaN for a text without letters.
"""

from collections.abc import Sequence

import numpy as np

from pipeline.curate.filters.filter import Filter, Mask, score
from pipeline.curate.languages import READ_CHARS, identifier
from pipeline.curate.reading import Reading
from schemas.filter_spec import LanguageSpec
from schemas.measures import Measures


def _columns(entries: Sequence[LanguageSpec]) -> tuple[str, ...]:
    return ("chars", *(f"language_{code}" for code in _codes(entries)))


def _codes(entries: Sequence[LanguageSpec]) -> list[str]:
    return sorted({code for entry in entries for code in entry.allowed})


def _measure(reading: Reading, entries: Sequence[LanguageSpec]) -> tuple[float, ...]:
    codes, text = _codes(entries), reading.turn.text[:READ_CHARS]
    if not any(map(str.isalpha, text)):
        return (reading.num_chars, *(float("nan") for _ in codes))
    found = dict(identifier().rank(text))
    return (reading.num_chars, *(found[code] for code in codes))


def _drops(measures: Measures, spec: LanguageSpec) -> Mask:
    probabilities = [score(measures, f"language_{code}") for code in dict.fromkeys(spec.allowed)]
    together = np.sum(probabilities, axis=0, dtype=np.float64).astype(np.float32)
    judged = score(measures, "chars") >= spec.min_chars
    out: Mask = judged & (together < spec.min_probability)
    return out


LANGUAGE = Filter(version=1, columns=_columns, measure=_measure, drops=_drops, library="py3langid")
