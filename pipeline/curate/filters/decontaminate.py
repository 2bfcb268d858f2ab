"""Holds words of a benchmark that a model may later be measured with.

GPT-3 (Brown et al. 2020, appendix C): a text is contaminated where it shares a 13-gram of words
with a benchmark, without case and punctuation; a benchmark text shorter than that counts whole if
it has at least 8 words. What we changed: the turn falls as a whole, as there is no rest of a
document to keep; and its share of words inside such n-grams is the score, `contaminated`. In
scripts without spaces letters count as words. `ngram` is no threshold: another one takes measuring
again.
"""

from collections.abc import Sequence

from pipeline.curate.benchmark import benchmark_index
from pipeline.curate.filters.filter import Filter, Mask, always, score, share_of
from pipeline.curate.reading import Reading
from schemas.filter_spec import DecontaminateSpec
from schemas.measures import Measures

__all__ = ["DECONTAMINATE", "benchmark_index"]


def _measure(reading: Reading, entries: Sequence[DecontaminateSpec]) -> tuple[float]:
    return (share_of(reading.num_benchmark_words, len(reading.words)),)


def _drops(measures: Measures, spec: DecontaminateSpec) -> Mask:
    return score(measures, "contaminated") > spec.max_share


DECONTAMINATE = Filter(version=1, columns=always("contaminated"), measure=_measure, drops=_drops)
