"""Mean log-probability of a turn's tokens outside of a band.

CCNet (Wenzek et al. 2020) and ROOTS drop by perplexity under a small model; here the model that
wrote the turn gives it, at no cost. Far below the band lies babble, at its upper end loops that the
model is certain of. Scores `tokens` and `mean_logprob`, over all that was sampled, reasoning among
it; NaN where log-probabilities were not asked for.
"""

from collections.abc import Sequence

from pipeline.curate.filters.filter import Filter, Mask, always, score, share_of
from pipeline.curate.reading import Reading
from schemas.filter_spec import LikelihoodSpec
from schemas.measures import Measures

_IMPOSSIBLE = -9999.0
"""Stands for an infinite one, so that every score is finite."""


def _measure(reading: Reading, entries: Sequence[LikelihoodSpec]) -> tuple[float, float]:
    mean = share_of(reading.turn.logprob_sum, len(reading.turn.token_ids))
    return reading.num_tokens, _IMPOSSIBLE if mean < _IMPOSSIBLE else mean


def _drops(measures: Measures, spec: LikelihoodSpec) -> Mask:
    mean = score(measures, "mean_logprob")
    judged = score(measures, "tokens") >= spec.min_tokens
    out: Mask = judged & ((mean < spec.min_mean) | (mean > spec.max_mean))
    return out


LIKELIHOOD = Filter(
    version=1, columns=always("tokens", "mean_logprob"), measure=_measure, drops=_drops
)
