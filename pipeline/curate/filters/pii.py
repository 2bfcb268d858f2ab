"""Personal data by pattern: mail addresses, telephone, card and account numbers, IP addresses.

Dolma (Soldaini et al. 2024) and FineWeb replace e-mail and public IP addresses found by patterns,
Dolma drops pages of many telephone numbers; ROOTS adds numbers of identity. What we changed: one
finding is enough, as a turn is short; card and account numbers must pass their own checks; and a
turn is kept as it was sampled when masking is asked for, so that its tokens stay true: `mask` is
for those who export messages. Score `pii`: how much is found.
"""

from collections.abc import Sequence

import numpy as np

from pipeline.curate.filters.filter import Filter, Mask, always, score
from pipeline.curate.personal import find
from pipeline.curate.reading import Reading
from schemas.filter_spec import PiiSpec
from schemas.measures import Measures


def _measure(reading: Reading, entries: Sequence[PiiSpec]) -> tuple[float]:
    return (len(find(reading.turn.text)),)


def _drops(measures: Measures, spec: PiiSpec) -> Mask:
    if spec.action == "mask":
        return np.zeros(len(measures), dtype=np.bool_)
    return score(measures, "pii") > 0


PII = Filter(version=1, columns=always("pii"), measure=_measure, drops=_drops)
