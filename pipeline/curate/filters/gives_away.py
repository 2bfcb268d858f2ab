"""Shows that an answer by somebody else was there while this one was written.

SDFT (Yang et al. 2024) drops a rewritten answer that speaks of a reference answer, of a response,
or of turns, and keeps the reference instead. What we changed: the phrases are ours, for the words
in which our recipe asks, they may stand anywhere, and a spec may name its own instead: those that
fit what it shows the model. Case and punctuation do not matter, and words are whole. Score
`gives_away`: how many phrases stand there.
"""

from collections.abc import Sequence

from pipeline.curate.filters.filter import Filter, Mask, always, score
from pipeline.curate.phrases import phrases_of
from pipeline.curate.reading import Reading
from schemas.filter_spec import GivesAwaySpec
from schemas.measures import Measures

_PHRASES = (
    *("reference answer", "reference solution", "reference response"),
    *("my response", "my own response", "your response", "your own response"),
    *("my own words", "your own words", "the question above", "your turn"),
    *("the other answer", "that other answer", "the given answer", "answer given above"),
    *("the provided answer", "answer provided", "the answer above", "the above answer"),
    *("the original answer", "the original response", "answer that somebody gave"),
)


def _measure(reading: Reading, entries: Sequence[GivesAwaySpec]) -> tuple[float]:
    asked = tuple(phrase for entry in entries for phrase in entry.phrases or _PHRASES)
    return (phrases_of(asked).count(reading.normalised, reading.vocabulary),)


def _drops(measures: Measures, spec: GivesAwaySpec) -> Mask:
    return score(measures, "gives_away") > 0


GIVES_AWAY = Filter(version=1, columns=always("gives_away"), measure=_measure, drops=_drops)
