"""A turn that did not come to its own end.

Our own rule: it ran into its token budget, or its reasoning never closed. A model trained on such
turns learns to stop anywhere. Plain texts that are to be continued mostly fill their budget, so by
this rule most of them fall. Score `truncated`: 1 or 0.
"""

from collections.abc import Sequence

from pipeline.curate.filters.filter import Filter, Mask, always, score
from pipeline.curate.reading import Reading
from schemas.dialect import Dialect
from schemas.filter_spec import TruncatedSpec
from schemas.measures import Measures, Turn


def _measure(reading: Reading, entries: Sequence[TruncatedSpec]) -> tuple[float]:
    turn = reading.turn
    unclosed = turn.role == "assistant" and _is_unclosed(turn, reading.dialect)
    return (float(turn.finish_reason != "stop" or unclosed),)


def _is_unclosed(turn: Turn, dialect: Dialect) -> bool:
    """Reasoning was opened, by the prompt or in the turn, and `reasoning_close` never came."""
    if not dialect.reasoning_close or turn.reasoning_tokens:
        return False
    opened_by_model = bool(dialect.reasoning_open) and dialect.reasoning_open in turn.text
    return opened_by_model or _opened_by_prompt(dialect)


def _opened_by_prompt(dialect: Dialect) -> bool:
    """The prompt for an answer goes beyond history's marker, and does not close again."""
    asks, close = dialect.ask_assistant, dialect.reasoning_close
    closed = any(asks[i : i + len(close)] == close for i in range(len(asks)))
    return asks != dialect.after_user and not closed


def _drops(measures: Measures, spec: TruncatedSpec) -> Mask:
    return score(measures, "truncated") > 0


TRUNCATED = Filter(version=1, columns=always("truncated"), measure=_measure, drops=_drops)
