"""Repeats the turn that it answers.

Self-Instruct (Wang et al. 2023) drops what overlaps with what was asked; we take containment, the
share of a turn's own character shingles that the turn before has, so that a short answer cut out
of a long question is found too. Names and terms that an answer takes up are far below the bound.
An opening is compared with the topic, if there is one, and a plain text with the one that it
continues. Scores `chars`, `echo`.
"""

from collections.abc import Sequence

from pipeline.curate.filters.filter import Filter, Mask, always, score
from pipeline.curate.reading import Reading
from pipeline.curate.shingles import containment
from schemas.filter_spec import EchoSpec
from schemas.measures import Measures


def _measure(reading: Reading, entries: Sequence[EchoSpec]) -> tuple[float, float]:
    before = reading.turn.before
    if not before or not before[-1].strip() or not reading.num_chars:
        return reading.num_chars, float("nan")
    own, said_before = reading.shingles("user"), reading.shingles("user", back=1)
    return reading.num_chars, containment(own, said_before)


def _drops(measures: Measures, spec: EchoSpec) -> Mask:
    judged = score(measures, "chars") >= spec.min_chars
    out: Mask = judged & (score(measures, "echo") > spec.max_share)
    return out


ECHO = Filter(version=1, columns=always("chars", "echo"), measure=_measure, drops=_drops)
