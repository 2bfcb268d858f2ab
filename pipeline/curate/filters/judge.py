"""The model itself called the turn poor, or gave no score that could be read.

LLM-as-a-judge (Zheng et al. 2023; Self-Rewarding, Yuan et al. 2024). The score `judge` is asked of
an engine after all other filters, and joins the measures then; nothing is measured here. NaN means
here, and here alone, that there was no readable score, and it does drop.
"""

import numpy as np

from pipeline.curate.filters.filter import Filter, Mask, always, score
from schemas.filter_spec import JudgeSpec
from schemas.measures import Measures


def _drops(measures: Measures, spec: JudgeSpec) -> Mask:
    judged = score(measures, "judge")
    out: Mask = np.isnan(judged) | (judged < spec.min_score)
    return out


JUDGE = Filter(version=1, columns=always(), measure=lambda reading, entries: (), drops=_drops)
