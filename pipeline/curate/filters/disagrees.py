"""Comes to another final answer than the reference.

SDFT (Yang et al. 2024) keeps a rewritten answer to a task that has a final answer (sums, calls of
functions, code) only where it agrees with the reference, which stands in otherwise. What we
changed: four rules tell where the final answer is, `final`; `number` is theirs. Where the reference
has none by that rule nothing is said, where the turn has none it falls. One score a rule asked for,
`same_<final>`: 1 where both agree, 0 where not, so that its mean is the share that agrees. `final`
and `pattern` are no thresholds: others take measuring again.

Only the last 4,000 characters of either are looked at, which bounds what a pattern may cost if it
takes quadratic time, but not if it takes exponential time.
"""

from collections.abc import Sequence

from pipeline.curate.filters.filter import Filter, Mask, score
from pipeline.curate.final_answer import Final, find_choice, find_line, find_number, find_pattern
from pipeline.curate.reading import Reading
from schemas.filter_spec import DisagreesSpec
from schemas.measures import Measures

_FINDERS = {"number": find_number, "choice": find_choice, "line": find_line}


def _columns(entries: Sequence[DisagreesSpec]) -> tuple[str, ...]:
    return tuple(f"same_{final}" for final in _asked(entries))


def _asked(entries: Sequence[DisagreesSpec]) -> dict[str, DisagreesSpec]:
    """One entry a rule: a spec has one pattern at most."""
    return {entry.final: entry for entry in entries}


def _measure(reading: Reading, entries: Sequence[DisagreesSpec]) -> tuple[float, ...]:
    return tuple(_same(reading, entry) for entry in _asked(entries).values())


def _same(reading: Reading, entry: DisagreesSpec) -> float:
    expected = _find(reading.turn.reference, entry)
    if expected is None:
        return float("nan")
    return float(_find(reading.turn.text, entry) == expected)


def _find(text: str, entry: DisagreesSpec) -> Final | None:
    if entry.pattern is not None:
        return find_pattern(text, entry.pattern)
    return _FINDERS[entry.final](text)


def _drops(measures: Measures, spec: DisagreesSpec) -> Mask:
    return score(measures, f"same_{spec.final}") < 1


DISAGREES = Filter(version=1, columns=_columns, measure=_measure, drops=_drops)
