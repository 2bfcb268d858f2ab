"""A turn that did not come to its own end.

Our own rule: it ran into its token budget, or its reasoning never closed. A model trained on such
turns learns to stop anywhere. Plain texts that are to be continued mostly fill their budget, so by
this rule most of them fall. Score `truncated`: 1 or 0.
"""

from collections.abc import Sequence

from pipeline.curate.filters.filter import Filter, Mask, always, score
from pipeline.curate.reading import Reading
from pipeline.tree.prompt import is_unclosed
from schemas.filter_spec import TruncatedSpec
from schemas.measures import Measures


def _measure(reading: Reading, entries: Sequence[TruncatedSpec]) -> tuple[float]:
    turn = reading.turn
    answered = turn.role == "assistant"
    unclosed = answered and is_unclosed(turn.text, turn.reasoning_tokens, reading.dialect)
    return (float(turn.finish_reason != "stop" or unclosed),)


def _drops(measures: Measures, spec: TruncatedSpec) -> Mask:
    return score(measures, "truncated") > 0


TRUNCATED = Filter(version=1, columns=always("truncated"), measure=_measure, drops=_drops)
