"""A turn in which the model went on to play the other role, or wrote control tokens.

Our own rule: a marker of the template after the reasoning, as a control token or spelled out. Where
there is no template all control tokens count but those that end a text. Score `role_leak`: 1 or 0.
"""

from collections.abc import Sequence

import numpy as np

from pipeline.curate.filters.filter import Filter, Mask, always, score
from pipeline.curate.reading import Reading
from schemas.filter_spec import RoleLeakSpec
from schemas.measures import Measures


def _measure(reading: Reading, entries: Sequence[RoleLeakSpec]) -> tuple[float]:
    return (float(_as_token(reading) or _spelled_out(reading)),)


def _as_token(reading: Reading) -> bool:
    answer = reading.turn.token_ids[reading.turn.reasoning_tokens :]
    # A handful of ids against a short array: comparing each is faster than sorting them.
    return any(bool(np.any(answer == leak)) for leak in reading.dialect.leak_ids)


def _spelled_out(reading: Reading) -> bool:
    turn, dialect = reading.turn, reading.dialect
    if turn.reasoning_tokens and not dialect.reasoning_end:
        # Reasoning may quote markers, and is not told apart from the answer in this text.
        return False
    return any(marker in turn.text for marker in dialect.leak_strings)


def _drops(measures: Measures, spec: RoleLeakSpec) -> Mask:
    return score(measures, "role_leak") > 0


ROLE_LEAK = Filter(version=1, columns=always("role_leak"), measure=_measure, drops=_drops)
