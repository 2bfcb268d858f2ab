"""Too short or too long, in tokens or characters.

Every published pipeline bounds length: Gopher (Rae et al. 2021) keeps documents of 50 to 100,000
words, C4 (Raffel et al. 2020) of at least five sentences. Turns of dialogue may be one word, so
only empty ones fall unless bounds are given. Scores `tokens` (after the reasoning) and `chars`
(white space around the text left aside).
"""

from collections.abc import Sequence

from pipeline.curate.filters.filter import Filter, Mask, always, score
from pipeline.curate.reading import Reading
from schemas.filter_spec import LengthSpec
from schemas.measures import Measures


def _measure(reading: Reading, entries: Sequence[LengthSpec]) -> tuple[float, float]:
    return reading.num_tokens, reading.num_chars


def _drops(measures: Measures, spec: LengthSpec) -> Mask:
    tokens, chars = score(measures, "tokens"), score(measures, "chars")
    out: Mask = (tokens < spec.min_tokens) | (chars < spec.min_chars)
    if spec.max_tokens is not None:
        out |= tokens > spec.max_tokens
    if spec.max_chars is not None:
        out |= chars > spec.max_chars
    return out


LENGTH = Filter(version=1, columns=always("tokens", "chars"), measure=_measure, drops=_drops)
